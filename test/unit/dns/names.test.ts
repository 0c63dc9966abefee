import { expect } from "chai";
import fc from "fast-check";
import { TYPE } from "../../../dns/codes.ts";
import { Names } from "../../../dns/names.ts";
import { dataText } from "../../../dns/record.ts";
import { reverseName } from "../../../dns/reverse.ts";
import { FactView } from "../../../facts/view.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { nodeFact, sampleTask, taskFact } from "../../support/facts.ts";

const NODE_ZONE = "node.dcos.thisdcos.directory";

/** The names of a node that is told of nodes, tasks, virtual IPs and ranges one after another. */
class Told {
  readonly view = new FactView();
  readonly names: Names;
  #version = 0;

  constructor(ranges: readonly string[] = [], forwarded: readonly string[] = []) {
    const nothing = { publicAddresses: [], custom: [], zones: [] };
    this.names = new Names({ node: "n0", ranges: ranges.map(parsePrefix), forwarded, ...nothing });
    this.names.begin(this.view.snapshot());
    this.view.subscribe((delta, snapshot) => this.names.change(delta, snapshot));
  }

  node(owner: string, addresses: readonly string[]): void {
    const fact = nodeFact(owner, {}, ++this.#version);
    this.view.apply([{ type: "put", fact: { ...fact, body: { ...fact.body, addresses } } }]);
  }

  gone(owner: string): void {
    this.view.apply([{ type: "owner", owner, liveness: "forgotten" }]);
  }

  task(number: number, address: string): void {
    const task = sampleTask({ id: `app.${number}`, name: `app-${number}`, addresses: [{ address }] });
    this.view.apply([{ type: "put", fact: taskFact(`t${number}`, task, ++this.#version) }]);
  }

  vip(number: number, address: string | undefined): void {
    const vip =
      address === undefined ? undefined : { label: `/v${number}`, framework: "marathon", addresses: [address] };
    this.names.vips([{ key: String(number), vip }]);
  }

  ranges(list: readonly string[]): void {
    this.names.ranges(list.map(parsePrefix), this.view.snapshot());
  }

  /** What an address is called, and undefined when that is asked of others. */
  nameOf(address: string): readonly string[] | undefined {
    const { zones } = this.names;
    const name = reverseName(address);
    if (zones.zoneOf(name) === undefined) return undefined;
    const sets = zones.get(name)?.sets ?? [];
    return sets
      .filter(({ type }) => type === TYPE.PTR)
      .flatMap(({ records }) => records.map(({ data }) => dataText(data)));
  }

  zones(): string[] {
    return this.names.zones
      .zones()
      .map(({ name, countedAs }) => `${name} ${countedAs ?? ""}`)
      .sort();
  }

  content(): string[] {
    const all = [...this.names.zones].flatMap(({ data }) => data.sets.flatMap(({ records }) => records));
    return all.map(({ name, data }) => `${name} ${data.type} ${dataText(data)}`).sort();
  }
}

const containerName = (number: number) => `app-${number}.marathon.containerip.dcos.thisdcos.directory.`;

describe("the names of addresses", function () {
  this.timeout(30_000);

  it("are known for overlays and virtual IPs as far as these go, and no further", () => {
    const told = new Told();
    told.task(1, "10.128.3.4");
    told.vip(1, "10.64.0.9");
    expect([told.nameOf("10.128.3.4"), told.nameOf("10.64.0.9")]).to.deep.equal([undefined, undefined]);
    told.ranges(["10.128.0.0/9", "10.64.0.0/24"]);
    expect(told.nameOf("10.128.3.4")).to.deep.equal([containerName(1)]);
    expect(told.nameOf("10.64.0.9")).to.deep.equal(["v1.marathon.l4lb.thisdcos.directory."]);
    expect([told.nameOf("10.255.0.1"), told.nameOf("10.64.1.0"), told.nameOf("10.127.0.1")]).to.deep.equal([
      [],
      undefined,
      undefined,
    ]);
    told.ranges([]);
    expect([told.nameOf("10.128.3.4"), told.nameOf("10.64.0.9")]).to.deep.equal([undefined, undefined]);
  });

  it("are known for nodes, both families, each leading to a name that leads back", () => {
    const told = new Told();
    told.node("n1", ["172.16.5.1", "fd00::51"]);
    for (const address of ["172.16.5.1", "fd00::51"]) {
      expect(told.nameOf(address)).to.deep.equal([`n1-example.${NODE_ZONE}.`]);
    }
    const addresses = told.names.zones.get(`n1-example.${NODE_ZONE}`)?.sets.map(({ type }) => type);
    expect(addresses).to.deep.equal([TYPE.A, TYPE.AAAA]);
    told.node("n1", ["172.16.5.2"]);
    expect([told.nameOf("172.16.5.1"), told.nameOf("fd00::51")]).to.deep.equal([undefined, undefined]);
    expect(told.nameOf("172.16.5.2")).to.deep.equal([`n1-example.${NODE_ZONE}.`]);
  });

  it("of a node's neighbours, and of nodes whose network the operator has others answer for, are asked of others", () => {
    const told = new Told([], ["16.172.in-addr.arpa", ""]);
    told.node("n1", ["172.16.5.1"]);
    told.node("n2", ["172.17.5.1"]);
    expect([told.nameOf("172.16.5.1"), told.nameOf("172.17.5.2"), told.nameOf("172.17.5.0")]).to.deep.equal([
      undefined,
      undefined,
      undefined,
    ]);
    expect(told.nameOf("172.17.5.1")).to.deep.equal([`n2-example.${NODE_ZONE}.`]);
  });

  it("of a node inside a range are in the range's zone", () => {
    const told = new Told(["172.16.0.0/16"]);
    told.node("n1", ["172.16.5.1"]);
    expect(told.nameOf("172.16.5.1")).to.deep.equal([`n1-example.${NODE_ZONE}.`]);
    expect(told.nameOf("172.16.5.2")).to.deep.equal([]);
  });

  it("are in the end the same, whatever came before", () => {
    const address = fc.constantFrom("10.1.2.3", "10.1.2.4", "10.9.0.1", "fd00::1", "fd00::1:1", "192.168.0.1");
    const number = fc.integer({ min: 0, max: 2 });
    const range = fc.constantFrom("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/23", "10.1.2.3/32", "fd00::/64", "fd00::/126");
    const told = (key: string, say: (names: Told) => void) => ({ key, say });
    const list = fc.uniqueArray(address, { minLength: 1, maxLength: 2 });
    const step = fc.oneof(
      fc.uniqueArray(range, { maxLength: 3 }).map((ranges) => told("ranges", (names) => names.ranges(ranges))),
      fc.tuple(number, list).map(([n, own]) => told(`node ${n}`, (names) => names.node(`n${n}`, own))),
      number.map((n) => told(`node ${n}`, (names) => names.gone(`n${n}`))),
      fc.tuple(number, address).map(([n, one]) => told(`task ${n}`, (names) => names.task(n, one))),
      fc
        .tuple(number, fc.option(address, { nil: undefined }))
        .map(([n, one]) => told(`vip ${n}`, (names) => names.vip(n, one))),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const [long, fresh] = [new Told(), new Told()];
        for (const { say } of steps) say(long);
        for (const { say } of new Map(steps.map((each) => [each.key, each])).values()) say(fresh);
        expect(long.zones()).to.deep.equal(fresh.zones());
        expect(long.content()).to.deep.equal(fresh.content());
        expect(long.names.zones.size).to.equal(fresh.names.zones.size);
      }),
      { numRuns: 300 },
    );
  });
});
