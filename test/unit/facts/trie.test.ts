import { expect } from "chai";
import fc from "fast-check";
import { TrieMap } from "../../../facts/trie.ts";

/** Two keys with one hash, found by trying. */
const COLLIDING = ["1fkby66.9s06", "pomvw.e1eq"] as const;

// Few keys, so that they are set and removed again and again.
const key = fc.oneof(fc.constantFrom("a", "b", "c", "", "é", ...COLLIDING), fc.string({ maxLength: 3 }));
const step = fc.record({ key, value: fc.option(fc.nat(5), { nil: undefined }) });

function build(steps: readonly { key: string; value: number | undefined }[]): TrieMap<number> {
  let map = TrieMap.empty<number>();
  for (const { key, value } of steps) map = value === undefined ? map.without(key) : map.with(key, value);
  return map;
}

function modelOf(steps: readonly { key: string; value: number | undefined }[]): Map<string, number> {
  const model = new Map<string, number>();
  for (const { key, value } of steps) {
    if (value === undefined) model.delete(key);
    else model.set(key, value);
  }
  return model;
}

const byKey = ([a]: readonly [string, number], [b]: readonly [string, number]): number => (a < b ? -1 : 1);

describe("TrieMap", () => {
  it("holds what a Map would hold after the same steps", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const map = build(steps);
        const model = modelOf(steps);
        expect(map.size).to.equal(model.size);
        expect([...map].sort(byKey)).to.deep.equal([...model].sort(byKey));
        for (const { key } of steps) expect(map.get(key)).to.equal(model.get(key));
      }),
    );
  });

  it("leaves the maps before a change as they were", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const maps = steps.map((_, index) => build(steps.slice(0, index)));
        const before = maps.map((map) => [...map]);
        steps.forEach(({ key, value }, index) => {
          if (value === undefined) maps[index]?.without(key);
          else maps[index]?.with(key, value);
        });
        expect(maps.map((map) => [...map])).to.deep.equal(before);
      }),
      { numRuns: 30 },
    );
  });

  it("iterates in the same order whatever happened before", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const fresh = build([...modelOf(steps)].sort(byKey).map(([key, value]) => ({ key, value })));
        expect([...build(steps)]).to.deep.equal([...fresh]);
      }),
    );
  });

  it("keeps keys apart that have one hash", () => {
    const [first, second] = COLLIDING;
    const map = TrieMap.empty<number>().with(second, 2).with(first, 1).with("other", 3);
    expect([map.get(first), map.get(second), map.size]).to.deep.equal([1, 2, 3]);
    expect([...map]).to.deep.equal([...TrieMap.empty<number>().with("other", 3).with(first, 1).with(second, 2)]);
    expect([...map.without(first).keys()].sort()).to.deep.equal(["other", second].sort());
  });

  it("shares all but a path with the map before", () => {
    let map = TrieMap.empty<number>();
    for (let index = 0; index < 10_000; index++) map = map.with(`key ${index}`, index);
    const next = map.with("key 77", -1);
    expect(next.get("key 77")).to.equal(-1);
    expect(map.get("key 77")).to.equal(77);
    expect([...next.values()].filter((value) => value < 0)).to.have.length(1);
    expect(map.without("no such key")).to.equal(map);
  });
});
