import { expect } from "chai";
import { aliases, recordsOf } from "../../../dns/naming.ts";
import { respond } from "../../../dns/respond.ts";
import type { Zones } from "../../../dns/zones.ts";
import { decoded, localZones, queryBytes, taskWith } from "../../support/dns.ts";

const DCOS = "dcos.thisdcos.directory";

function ask(zones: Zones, name: string, type: string, options: { id?: number; edns?: number; tcp?: boolean } = {}) {
  const message = queryBytes(name, type, options.id, options.edns);
  const authority = { zones, aliases: aliases(), recursion: false };
  const outcome = respond(message, options.tcp === true ? "tcp" : "udp", authority);
  if (outcome.outcome !== "reply") throw new Error(outcome.outcome);
  return { ...decoded(outcome.message), bytes: outcome.message.length };
}

function withTasks(count: number): Zones {
  const zones = localZones();
  zones.put("fixed", recordsOf({ kind: "fixed" }));
  for (let index = 0; index < count; index++) {
    const address = `9.0.${index >> 8}.${index & 255}`;
    const port = { protocol: "tcp", container: 80, vips: [] } as const;
    const task = taskWith({ id: `app.${index}`, addresses: [{ address }], ports: [port] });
    zones.put(`task/${index}`, recordsOf({ kind: "task", task }));
  }
  return zones;
}

const dataOf = (answers: readonly object[] | undefined) =>
  answers?.map((answer) => ("data" in answer ? answer.data : undefined));

describe("an answer", () => {
  const NAME = `myapp-mygroup.marathon.containerip.${DCOS}`;

  it("has the records of a name, in an order that the query's id turns", () => {
    const zones = withTasks(3);
    expect(dataOf(ask(zones, NAME, "A", { id: 3 }).answers)).to.deep.equal(["9.0.0.0", "9.0.0.1", "9.0.0.2"]);
    expect(dataOf(ask(zones, NAME, "A", { id: 4 }).answers)).to.deep.equal(["9.0.0.1", "9.0.0.2", "9.0.0.0"]);
    expect(ask(zones, NAME, "A").flag_aa).to.equal(true);
  });

  it("never is NXDOMAIN for a name that has any record, nor for one above it", () => {
    const zones = withTasks(2);
    const names = [...zones].map(({ name }) => name);
    expect(names.length).to.be.greaterThan(10);
    const above = [`marathon.containerip.${DCOS}`, `containerip.${DCOS}`, `_tcp.marathon.autoip.${DCOS}`];
    for (const name of [...names, ...above]) {
      for (const type of ["A", "AAAA", "SRV", "MX", "TXT", "NS", "SOA", "PTR", "CNAME", "CAA", "ANY", "HTTPS"]) {
        expect([name, type, ask(zones, name, type).rcode]).to.deep.equal([name, type, "NOERROR"]);
      }
    }
  });

  it("says with the zone's SOA that a name or a type isn't there", () => {
    const none = ask(withTasks(1), NAME, "AAAA");
    expect([none.rcode, none.answers?.length, none.authorities?.[0]?.name]).to.deep.equal(["NOERROR", 0, DCOS]);
    const missing = ask(withTasks(1), `no.such.${DCOS}`, "A");
    expect([missing.rcode, missing.authorities?.[0]?.type]).to.deep.equal(["NXDOMAIN", "SOA"]);
    expect(missing.authorities?.[0]).to.have.property("ttl", 1);
  });

  it("sends the addresses of services along", () => {
    const { answers, additionals } = ask(withTasks(2), `_myapp-mygroup._tcp.marathon.containerip.${DCOS}`, "SRV");
    expect(answers?.length).to.equal(2);
    expect(additionals?.map(({ type }) => type)).to.deep.equal(["A", "A"]);
  });

  it("comes under the alias that was asked for", () => {
    const zones = withTasks(1);
    const vip = { label: "/shop", framework: "marathon", addresses: ["11.0.0.1"] };
    zones.put("vip", recordsOf({ kind: "vip", vip }));
    for (const suffix of ["dclb.thisdcos.directory", "dclb.thisdcos.global", "l4lb.thisdcos.global"]) {
      const { answers } = ask(zones, `shop.marathon.${suffix}`, "A");
      expect(answers?.[0]?.name).to.equal(`shop.marathon.${suffix}`);
    }
    expect(ask(zones, "no.thisdcos.global", "A").authorities?.[0]?.name).to.equal("thisdcos.global");
  });

  it("follows aliases through local zones, and names a circle", () => {
    const zones = withTasks(1);
    const custom = (name: string, target: string) =>
      zones.put(`custom/${name}`, recordsOf({ kind: "custom", alias: { name, target } }));
    custom("shop.x.thisdcos.directory", NAME);
    custom("a.x.thisdcos.directory", "b.x.thisdcos.directory");
    custom("b.x.thisdcos.directory", "a.x.thisdcos.directory");
    custom("out.x.thisdcos.directory", "example.org");
    expect(ask(zones, "shop.x.thisdcos.directory", "A").answers?.map(({ type }) => type)).to.deep.equal(["CNAME", "A"]);
    expect(ask(zones, "a.x.thisdcos.directory", "A").rcode).to.equal("SERVFAIL");
    expect(ask(zones, "out.x.thisdcos.directory", "A").answers?.length).to.equal(1);
  });

  it("of 5,000 instances is whole over TCP, and cut with TC over UDP, within what the asker takes", function () {
    this.timeout(120_000);
    const zones = withTasks(5000);
    const whole = ask(zones, NAME, "A", { tcp: true });
    // What header and question leave of 65,535 bytes has room for so many records of 16 bytes.
    expect([whole.flag_tc, whole.answers?.length]).to.deep.equal([true, 4091]);
    const plain = ask(zones, NAME, "A");
    expect([plain.flag_tc, plain.bytes <= 512, plain.answers?.length]).to.deep.equal([true, true, 27]);
    const edns = ask(zones, NAME, "A", { edns: 4096 });
    expect([edns.flag_tc, edns.bytes <= 1232, edns.bytes > 1200]).to.deep.equal([true, true, true]);
    expect(ask(withTasks(4000), NAME, "A", { tcp: true }).answers?.length).to.equal(4000);
  });

  it("keeps the case of the question", () => {
    const { questions, answers } = ask(withTasks(1), NAME.toUpperCase(), "A");
    expect([questions?.[0]?.name, answers?.[0]?.name]).to.deep.equal([NAME.toUpperCase(), NAME.toUpperCase()]);
  });

  it("is small for ANY over UDP", () => {
    expect(ask(withTasks(1), DCOS, "ANY").answers?.map(({ type }) => type)).to.deep.equal(["NS"]);
    expect(ask(withTasks(1), "ready.spartan", "ANY").answers?.map(({ type }) => type)).to.deep.equal(["A"]);
  });

  it("is REFUSED outside the zones and for transfers, with the reason", () => {
    expect(ask(withTasks(1), "example.org", "A", { edns: 1232 }).rcode).to.equal("REFUSED");
    expect(ask(withTasks(1), DCOS, "AXFR", { tcp: true }).rcode).to.equal("REFUSED");
  });
});
