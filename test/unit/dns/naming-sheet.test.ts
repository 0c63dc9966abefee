import { expect } from "chai";
import { aliases, recordsOf, type Subject } from "../../../dns/naming.ts";
import { dataText } from "../../../dns/record.ts";
import { respond } from "../../../dns/respond.ts";
import type { Zones } from "../../../dns/zones.ts";
import type { Task } from "../../../facts/task.ts";
import { decoded, localZones, queryBytes, taskWith } from "../../support/dns.ts";

const DIRECTORY = "thisdcos.directory";
const DCOS = `dcos.${DIRECTORY}`;
const CLUSTER_ID = "c3zs6aubqe";

function zonesOf(...subjects: readonly Subject[]): Zones {
  const zones = localZones();
  for (const [index, subject] of subjects.entries()) zones.put(String(index), recordsOf(subject));
  return zones;
}

const zonesOfTasks = (...tasks: readonly Partial<Task>[]) =>
  zonesOf(...tasks.map((task): Subject => ({ kind: "task", task: taskWith(task) })));

/** The records of a name: `A 10.0.0.1`. */
function at(zones: Zones, name: string): string[] {
  const records = zones.get(name)?.sets.flatMap(({ records }) => records) ?? [];
  return records.map(({ data }) => `${data.type} ${dataText(data)}`);
}

function ask(zones: Zones, name: string, type: string) {
  const outcome = respond(queryBytes(name, type), "udp", { zones, aliases: aliases(CLUSTER_ID), recursion: false });
  if (outcome.outcome !== "reply") throw new Error(outcome.outcome);
  return decoded(outcome.message);
}

const APP = `myapp-mygroup.marathon`;

describe("the names of DC/OS", () => {
  it("have its TTLs, name server and start of authority", () => {
    const zones = zonesOf({ kind: "fixed" }, { kind: "task", task: taskWith() });
    expect(ask(zones, `${APP}.agentip.${DCOS}`, "A").answers?.[0]).to.have.property("ttl", 5);
    const [soa] = ask(zones, DCOS, "SOA").answers ?? [];
    expect(soa).to.deep.include({ name: DCOS, ttl: 5 });
    expect(soa)
      .to.have.property("data")
      .that.deep.equals({
        ...{ mname: "ns.spartan", rname: "support.mesosphere.com", serial: 1 },
        ...{ refresh: 60, retry: 180, expire: 86_400, minimum: 1 },
      });
    const { answers, additionals } = ask(zones, DCOS, "NS");
    expect(answers?.[0]).to.deep.include({ ttl: 3600, data: "ns.spartan" });
    expect(additionals?.map((each) => "data" in each && each.data)).to.deep.equal([
      "198.51.100.1",
      "fd01:d::c633:6401",
    ]);
  });

  it("zk-1 … zk-5 are the first five masters, and nobody while there is none", () => {
    const cluster = (masters: readonly string[]): Subject => {
      return { kind: "cluster", cluster: { masters, leader: [], node: [], publicNode: [] } };
    };
    const seven = [1, 2, 3, 4, 5, 6, 7].map((number) => `10.0.0.${number}`);
    const addresses = (zones: Zones) => [1, 2, 3, 4, 5].map((number) => at(zones, `zk-${number}.zk`).join());
    expect(addresses(zonesOf(cluster(seven)))).to.deep.equal(seven.slice(0, 5).map((address) => `A ${address}`));
    expect(addresses(zonesOf(cluster([])))).to.deep.equal(["", "", "", "", ""]);
    expect(ask(zonesOf(cluster([])), "zk-1.zk", "A").rcode).to.equal("NXDOMAIN");
  });

  it("of a task have its node, its own addresses of both families, and of these the one to be reached at", () => {
    const both = { addresses: [{ address: "9.0.2.5" }, { address: "fd01:b::5" }] };
    const zones = zonesOfTasks(both);
    expect(at(zones, `${APP}.agentip.${DCOS}`)).to.deep.equal(["A 172.17.0.4"]);
    for (const kind of ["containerip", "autoip"])
      expect(at(zones, `${APP}.${kind}.${DCOS}`)).to.deep.equal(["A 9.0.2.5", "AAAA fd01:b::5"]);
    const port = { protocol: "tcp", container: 80, host: 31_080, vips: [] } as const;
    const mapped = zonesOfTasks({ ...both, ports: [port] });
    expect(at(mapped, `${APP}.autoip.${DCOS}`)).to.deep.equal(["A 172.17.0.4"]);
    expect(at(mapped, `${APP}.containerip.${DCOS}`)).to.deep.equal(["A 9.0.2.5", "AAAA fd01:b::5"]);
  });

  it("of a task without addresses lead to its node, and the container's doesn't exist", () => {
    const zones = zonesOfTasks({ addresses: [] });
    expect(at(zones, `${APP}.autoip.${DCOS}`)).to.deep.equal(["A 172.17.0.4"]);
    expect(ask(zones, `${APP}.containerip.${DCOS}`, "A").rcode).to.equal("NXDOMAIN");
  });

  it("of a task in the node's own network have the node's address as the container's too, and no name of that address", () => {
    const zones = zonesOfTasks({ mode: "host", addresses: [{ address: "172.17.0.4" }] });
    expect(at(zones, `${APP}.containerip.${DCOS}`)).to.deep.equal(["A 172.17.0.4"]);
    expect(recordsOf({ kind: "task", task: taskWith({ mode: "host" }) }).map(({ data }) => data.type)).to.not.include(
      "PTR",
    );
  });

  it("are one for all instances, also of frameworks of the same name, with each address once", () => {
    const zones = zonesOfTasks({}, { id: "app.2" }, { id: "app.3", framework: { id: "F2", name: "Marathon" } });
    expect(at(zones, `${APP}.containerip.${DCOS}`)).to.deep.equal(["A 9.0.2.5"]);
    zones.put("0", []);
    zones.put("2", []);
    expect(at(zones, `${APP}.containerip.${DCOS}`)).to.deep.equal(["A 9.0.2.5"]);
    zones.put("1", []);
    expect(zones.exists(`${APP}.containerip.${DCOS}`)).to.equal(false);
  });

  it("of virtual IPs lose slashes and keep dots", () => {
    const vip = (label: string): Subject => {
      return { kind: "vip", vip: { label, framework: "marathon", addresses: ["11.0.0.1"] } };
    };
    const zones = zonesOf(vip("/mygroup/myapp"), vip("/api.hello-world"), vip("/a..B_c"));
    for (const name of ["mygroupmyapp", "api.hello-world", "a.b-c"])
      expect(at(zones, `${name}.marathon.l4lb.${DIRECTORY}`)).to.deep.equal(["A 11.0.0.1"]);
  });

  it("are known under every alias, in any case, and come back under the alias", () => {
    const port = { protocol: "tcp", container: 80, name: "http", vips: [] } as const;
    const zones = zonesOfTasks({ ports: [port] });
    for (const to of [`dcos.thisdcos.global`, `dcos.${CLUSTER_ID}.dcos.directory`]) {
      const [srv] = ask(zones, `_${"MyApp-MyGroup"}._tcp.marathon.autoip.${to.toUpperCase()}`, "SRV").answers ?? [];
      expect(srv).to.have.property("type", "SRV");
      const target = (srv as { data: { target: string } }).data.target;
      expect(target).to.match(new RegExp(`^myapp-mygroup-wn5mc-s1\\.marathon\\.autoip\\.${to}$`));
      expect(ask(zones, target, "A").answers?.[0]).to.deep.include({ name: target, data: "9.0.2.5" });
      expect(ask(zones, `nothing.${to}`, "A").authorities?.[0]?.name).to.equal(to);
    }
    expect(ask(zones, `${APP}.autoip.dcos.ybndrfg8ej.dcos.directory`, "A").rcode).to.equal("REFUSED");
  });

  it("below the directory that nobody has are answered here, and never asked of others", () => {
    const zones = zonesOf({ kind: "fixed" });
    for (const name of [`foo.bar.${DIRECTORY}`, `x.${DIRECTORY}`, "foo.bar.thisdcos.global"]) {
      const { rcode, authorities } = ask(zones, name, "A");
      expect([rcode, authorities?.map(({ type }) => type)]).to.deep.equal(["NXDOMAIN", ["SOA"]]);
    }
    expect(ask(zones, DIRECTORY, "A").rcode).to.equal("NOERROR");
  });
});
