import { expect } from "chai";
import { aliases, NAMING_RULES, recordsOf, type Subject } from "../../../dns/naming.ts";
import { dataText } from "../../../dns/record.ts";
import { taskWith } from "../../support/dns.ts";

const CLUSTER = {
  masters: ["10.0.0.5", "10.0.0.6"],
  leader: ["10.0.0.6"],
  node: ["10.0.0.9", "fd00::9"],
  publicNode: ["203.0.113.9"],
};
const cluster: Subject = { kind: "cluster", cluster: CLUSTER };
const overlay: Subject = { kind: "task", task: taskWith() };
const port = { protocol: "tcp", container: 8080, name: "http", vips: [] } as const;
const served: Subject = { kind: "task", task: taskWith({ ports: [port] }) };
const mapped: Subject = { kind: "task", task: taskWith({ mode: "bridge", ports: [{ ...port, host: 31_080 }] }) };
const vip: Subject = {
  kind: "vip",
  vip: { label: "/api.hello-world", framework: "marathon", addresses: ["11.1.2.3", "fd01:c::5"] },
};
const node: Subject = { kind: "node", node: { name: "Worker_1.example.org", addresses: ["10.0.0.9", "fd00::9"] } };
const INSTANCE = "myapp-mygroup-wn5mc-s1.marathon";
const DCOS = "dcos.thisdcos.directory";

/** Rule, subject, and the first records that come of it. */
const EXAMPLES: readonly [string, Subject, readonly string[]][] = [
  ["ready", { kind: "fixed" }, ["ready.spartan A 127.0.0.1"]],
  ["name-server", { kind: "fixed" }, ["ns.spartan A 198.51.100.1", "ns.spartan AAAA fd01:d::c633:6401"]],
  ["localhost", { kind: "fixed" }, ["localhost A 127.0.0.1", "localhost AAAA ::1"]],
  ["zk", cluster, [1, 2, 3, 4, 5].map((number) => `zk-${number}.zk A 10.0.0.${number % 2 === 1 ? 5 : 6}`)],
  ["leader", cluster, [`leader.${DCOS} A 10.0.0.6`]],
  ["master", cluster, [`master.${DCOS} A 10.0.0.5`, `master.${DCOS} A 10.0.0.6`]],
  ["thisnode", cluster, ["thisnode.thisdcos.directory A 10.0.0.9", "thisnode.thisdcos.directory AAAA fd00::9"]],
  ["public-thisnode", cluster, ["public.thisnode.thisdcos.directory A 203.0.113.9"]],
  ["node", node, [`worker-1-example-org.node.${DCOS} A 10.0.0.9`, `worker-1-example-org.node.${DCOS} AAAA fd00::9`]],
  ["node-reverse", node, [`9.0.0.10.in-addr.arpa PTR worker-1-example-org.node.${DCOS}.`]],
  ["agentip", overlay, [`myapp-mygroup.marathon.agentip.${DCOS} A 172.17.0.4`]],
  ["containerip", overlay, [`myapp-mygroup.marathon.containerip.${DCOS} A 9.0.2.5`]],
  ["autoip", overlay, [`myapp-mygroup.marathon.autoip.${DCOS} A 9.0.2.5`]],
  ["autoip", mapped, [`myapp-mygroup.marathon.autoip.${DCOS} A 172.17.0.4`]],
  ["agentip-service", served, []],
  [
    "containerip-service",
    served,
    ["", "_http."].map(
      (part) => `${part}_myapp-mygroup._tcp.marathon.containerip.${DCOS} SRV 1 1 8080 ${INSTANCE}.containerip.${DCOS}.`,
    ),
  ],
  ["autoip-service", mapped, [`_myapp-mygroup._tcp.marathon.autoip.${DCOS} SRV 1 1 31080 ${INSTANCE}.autoip.${DCOS}.`]],
  ["container-reverse", overlay, [`5.2.0.9.in-addr.arpa PTR myapp-mygroup.marathon.containerip.${DCOS}.`]],
  [
    "vip",
    vip,
    [
      "api.hello-world.marathon.l4lb.thisdcos.directory A 11.1.2.3",
      "api.hello-world.marathon.l4lb.thisdcos.directory AAAA fd01:c::5",
    ],
  ],
  ["vip-reverse", vip, ["3.2.1.11.in-addr.arpa PTR api.hello-world.marathon.l4lb.thisdcos.directory."]],
  [
    "mesos",
    {
      kind: "mesos",
      domain: "mesos",
      record: {
        name: "_http._docker-on-bridge._tcp.marathon.mesos",
        ttl: 60,
        data: { type: "SRV", priority: 0, weight: 1, port: 23_866, target: "docker-on-bridge-7qzpn-s0.marathon.mesos" },
      },
    },
    [
      "_http._docker-on-bridge._tcp.marathon.mesos.thisdcos.directory SRV 1 1 23866 docker-on-bridge-7qzpn-s0.marathon.mesos.thisdcos.directory.",
    ],
  ],
  [
    "custom",
    {
      kind: "custom",
      alias: { name: "registry.component.thisdcos.directory", target: "master.mesos.thisdcos.directory" },
    },
    ["registry.component.thisdcos.directory CNAME master.mesos.thisdcos.directory."],
  ],
];

describe("naming", () => {
  for (const [id, subject, expected] of EXAMPLES) {
    it(`makes of rule ${id}: ${expected[0] ?? "nothing"}`, () => {
      const rule = NAMING_RULES.find((each) => each.id === id);
      const made = rule?.records(subject).map(({ name, data }) => `${name} ${data.type} ${dataText(data)}`) ?? [];
      expect(made.slice(0, expected.length || 1)).to.deep.equal(expected);
    });
  }

  it("has an example of every rule", () => {
    const shown = new Set(EXAMPLES.map(([id]) => id));
    expect(NAMING_RULES.map(({ id }) => id).filter((id) => !shown.has(id))).to.deep.equal([]);
  });

  it("gives no names to tasks that don't run", () => {
    const states = ["preparing", "killing", "terminal"] as const;
    for (const state of states) expect(recordsOf({ kind: "task", task: taskWith({ state }) })).to.deep.equal([]);
  });

  it("prefers the name of discovery information, but not an empty one", () => {
    const named = (name: string) =>
      recordsOf({ kind: "task", task: taskWith({ discovery: { name, visibility: "cluster", ports: [] } }) })[0]?.name;
    expect(named("shop")).to.equal(`shop.marathon.agentip.${DCOS}`);
    expect(named("")).to.equal(`myapp-mygroup.marathon.agentip.${DCOS}`);
  });

  it("knows the cluster by its id too", () => {
    expect(aliases("c3zs6aubqe")).to.deep.include({ from: "c3zs6aubqe.dcos.directory", to: "thisdcos.directory" });
  });
});
