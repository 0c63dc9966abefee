import { expect } from "chai";
import { TYPE } from "../../../dns/codes.ts";
import { DCOS_RANGES, Names } from "../../../dns/names.ts";
import { aliases } from "../../../dns/naming.ts";
import { dataText } from "../../../dns/record.ts";
import { traceName } from "../../../dns/trace.ts";
import type { Fact } from "../../../facts/fact.ts";
import type { Task } from "../../../facts/task.ts";
import { FactView } from "../../../facts/view.ts";
import { nodeFact, sampleTask, taskFact } from "../../support/facts.ts";

const DIRECTORY = "thisdcos.directory";
const CUSTOM = { name: `registry.component.${DIRECTORY}`, target: `master.dcos.${DIRECTORY}` };

function known(...facts: readonly Fact[]) {
  const view = new FactView();
  view.apply(facts.map((fact) => ({ type: "put", fact })));
  const names = new Names({
    node: "n1",
    publicAddresses: [],
    custom: [CUSTOM],
    ranges: DCOS_RANGES,
    forwarded: [],
    zones: [],
  });
  names.begin(view.snapshot());
  names.vips([{ key: "web", vip: { label: "/web", framework: "marathon", addresses: ["11.0.0.9"] } }]);
  names.mesos([{ name: "a.mesos", ttl: 60, data: { type: "A", address: "10.0.0.7" } }], "mesos");
  const trace = (name: string, type: number = TYPE.A) => {
    const sources = names.sources(view.snapshot());
    return traceName(name, type, { zones: names.zones, aliases: aliases(), sources });
  };
  return { trace, names };
}

const master = (owner: string, address: string) => {
  const fact = nodeFact(owner);
  return { ...fact, body: { ...fact.body, role: "master" as const, addresses: [address] } };
};
const instance = (number: number, changes: Partial<Task> = {}) =>
  taskFact(
    `n${number}`,
    sampleTask({ id: `app.${number}`, agent: { id: `S${number}`, addresses: [`10.0.0.${number}`] }, ...changes }),
  );

describe("the trace of a name", () => {
  it("leads from a record to its rule, its fact and the fact's owner", () => {
    const { trace } = known(instance(1), instance(2, { name: "other" }));
    const { zone, records, reply } = trace(`app.marathon.containerip.dcos.${DIRECTORY}`);
    expect([zone, reply?.rcode, records.length]).to.deep.equal([`dcos.${DIRECTORY}`, 0, 1]);
    const [{ record, origins, originCount } = { record: undefined, origins: [], originCount: 0 }] = records;
    expect(record && dataText(record.data)).to.equal("9.0.1.6");
    expect(originCount).to.equal(1);
    expect(origins.map(({ rule, source: { fact } }) => [rule, fact?.owner])).to.deep.equal([["containerip", "n1"]]);
  });

  it("names every instance that shares a record, but keeps the first ones only", () => {
    const { trace } = known(...Array.from({ length: 30 }, (_, index) => instance(index + 1)));
    const [shared] = trace(`app.marathon.containerip.dcos.${DIRECTORY}`).records;
    expect([shared?.originCount, shared?.origins.length]).to.deep.equal([30, 10]);
    expect(trace(`app.marathon.agentip.dcos.${DIRECTORY}`).records).to.have.length(30);
  });

  it("leads from services and addresses to the task, too", () => {
    const { trace } = known(instance(1));
    const [service] = trace(`_http._app._tcp.marathon.containerip.dcos.${DIRECTORY}`, TYPE.SRV).records;
    expect(service?.origins[0]?.rule).to.equal("containerip-service");
    const [pointer] = trace("6.1.0.9.in-addr.arpa", TYPE.PTR).records;
    expect(pointer?.origins[0]?.rule).to.equal("container-reverse");
  });

  it("follows aliases of zones and names, and says what each record comes from", () => {
    const { trace } = known(master("m1", "10.0.0.8"), master("m2", "10.0.0.9"));
    const { alias, name, records } = trace("registry.component.thisdcos.global");
    expect([alias?.from, name]).to.deep.equal(["thisdcos.global", CUSTOM.name]);
    const made = records.map(({ record, origins }) => [
      dataText(record.data),
      ...origins.map(({ rule, source }) => `${rule} ${source.fact?.owner}`),
    ]);
    expect(made).to.deep.equal([
      [`${CUSTOM.target}.`, "custom undefined"],
      ["10.0.0.8", "master m1"],
      ["10.0.0.9", "master m2"],
    ]);
  });

  it("knows virtual IPs, copies of Mesos-DNS, fixed names, and what belongs to the zone itself", () => {
    const { trace } = known();
    const rules = (name: string, type?: number) =>
      trace(name, type).records.flatMap(({ origins }) => origins.map(({ rule }) => rule));
    expect(rules(`web.marathon.l4lb.${DIRECTORY}`)).to.deep.equal(["vip"]);
    expect(rules("9.0.0.11.in-addr.arpa", TYPE.PTR)).to.deep.equal(["vip-reverse"]);
    expect(rules(`a.mesos.${DIRECTORY}`)).to.deep.equal(["mesos"]);
    expect(rules("ready.spartan", TYPE.ANY)).to.deep.equal(["ready"]);
    expect(trace("spartan", TYPE.SOA).records.map(({ originCount }) => originCount)).to.deep.equal([0]);
  });

  it("says nothing of names that are none of ours, and no records of those that aren't there", () => {
    const { trace } = known();
    expect(trace("www.example.org")).to.deep.include({ zone: undefined, reply: undefined, records: [] });
    expect(trace(`nothing.${DIRECTORY}`).reply?.rcode).to.equal(3);
  });
});

describe("names that begin anew", () => {
  it("are those of the new snapshot alone", () => {
    const { names } = known(instance(1));
    const other = new FactView();
    other.apply([{ type: "put", fact: instance(2, { name: "other" }) }]);
    names.begin(other.snapshot());
    expect(names.zones.get(`app.marathon.agentip.dcos.${DIRECTORY}`)).to.equal(undefined);
    expect(names.zones.get(`other.marathon.agentip.dcos.${DIRECTORY}`)?.sets).to.have.length(1);
    expect(names.zones.get(`web.marathon.l4lb.${DIRECTORY}`)?.sets).to.have.length(1);
  });
});
