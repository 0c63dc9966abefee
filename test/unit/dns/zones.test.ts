import { expect } from "chai";
import fc from "fast-check";
import { type DnsRecord, dataText } from "../../../dns/record.ts";
import { dcosZone } from "../../../dns/zone.ts";
import { Zones } from "../../../dns/zones.ts";

const record = (name: string, number: number): DnsRecord => ({
  name: `${name}.zk`,
  ttl: 5,
  data: { type: "A", address: `10.0.0.${number}` },
});
const ZONE = [dcosZone("zk")];

function contentOf(zones: Zones): string[] {
  return [...zones]
    .flatMap(({ data }) => data.sets.flatMap(({ records }) => records))
    .map(({ name, data }) => `${name} ${dataText(data)}`)
    .sort();
}

describe("the zones", () => {
  const name = fc.constantFrom("a", "b.a", "c.b.a", "d");
  const records = fc.array(fc.tuple(name, fc.integer({ min: 0, max: 12 })), { maxLength: 12 });
  const step = fc.tuple(fc.constantFrom("one", "two", "three"), records);

  it("hold what their origins say last, whatever came before", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const zones = new Zones(ZONE);
        const last = new Map<string, readonly DnsRecord[]>();
        for (const [origin, list] of steps) {
          const made = list.map(([owner, number]) => record(owner, number));
          zones.put(origin, made);
          last.set(origin, made);
        }
        const fresh = new Zones(ZONE);
        for (const [origin, made] of last) fresh.put(origin, made);
        expect(contentOf(zones)).to.deep.equal(contentOf(fresh));
        expect(zones.size).to.equal(fresh.size);
        for (const each of ["a.zk", "b.a.zk", "c.b.a.zk", "d.zk", "b.zk", "zk"])
          expect(zones.exists(each)).to.equal(fresh.exists(each));
      }),
    );
  });

  it("name what became different, and nothing else", () => {
    const zones = new Zones(ZONE);
    zones.put("one", [record("a", 1), record("d", 1)]);
    zones.settle();
    zones.put("two", [record("a", 1)]);
    expect([...zones.settle()]).to.deep.equal([]);
    zones.put("one", [record("d", 2)]);
    expect([...zones.settle()]).to.deep.equal(["d.zk"]);
    zones.put("two", []);
    expect([...zones.settle()]).to.deep.equal(["a.zk"]);
  });

  it("refuse records that are outside, or can't go on the wire", () => {
    const zones = new Zones(ZONE);
    const bad = [record("a", 1), { ...record("a", 1), name: "a.example" }, record("x".repeat(64), 1)];
    expect(zones.put("one", bad)).to.equal(2);
    expect(zones.get("a.zk")?.sets.length).to.equal(1);
  });

  it("don't change what was read of them", () => {
    const zones = new Zones(ZONE);
    zones.put("one", [record("a", 1)]);
    const before = zones.get("a.zk");
    zones.put("one", [record("a", 2)]);
    expect(before?.sets[0]?.records.map(({ data }) => dataText(data))).to.deep.equal(["10.0.0.1"]);
  });
});
