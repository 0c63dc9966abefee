import { expect } from "chai";
import fc from "fast-check";
import { maglevTable, slotsOf } from "../../../../l4lb/dataplanes/socket-choice.ts";
import { MH_ENTRIES } from "../../../../l4lb/dataplanes/socket-layout.ts";
import { type Backend, WEIGHT_MAX } from "../../../../l4lb/service.ts";

function backends(weights: readonly number[]): Backend[] {
  return weights.map((weight, index) => ({ ip: { family: 4, value: 0x0a000001n + BigInt(index) }, port: 80, weight }));
}

const weights = fc.array(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: WEIGHT_MAX })), {
  maxLength: 40,
});

/** How often each backend is chosen, of all draws: a slot is drawn with equal chance, and keeps those of its 2^32
 *  numbers that are at most its threshold. */
function shares(list: readonly Backend[]): number[] {
  const slots = slotsOf(list);
  const drawn = list.filter(({ weight }) => weight > 0).length;
  const share = new Map<Backend, number>();
  for (const { backend, threshold, alias } of slots.slice(0, drawn)) {
    const own = (threshold + 1) / 2 ** 32;
    const other = slots[alias]?.backend;
    if (other === undefined) throw new Error("the alias is no slot");
    share.set(backend, (share.get(backend) ?? 0) + own / drawn);
    share.set(other, (share.get(other) ?? 0) + (1 - own) / drawn);
  }
  return list.map((backend) => share.get(backend) ?? 0);
}

describe("choice among backends on sockets", () => {
  it("gives each backend exactly its share by weight, to one in a hundred million", () => {
    fc.assert(
      fc.property(weights, (each) => {
        const total = each.reduce((sum, weight) => sum + weight, 0);
        for (const [index, share] of shares(backends(each)).entries()) {
          expect(share).to.be.closeTo(total === 0 ? 0 : (each[index] ?? 0) / total, 1e-8);
        }
      }),
    );
  });

  it("has a slot for every backend, those with weight first", () => {
    fc.assert(
      fc.property(weights, (each) => {
        const list = backends(each);
        const slots = slotsOf(list);
        expect(slots.map(({ backend }) => backend)).to.have.members(list);
        const idle = slots.findIndex(({ backend }) => backend.weight === 0);
        expect(slots.slice(idle < 0 ? slots.length : idle).every(({ backend }) => backend.weight === 0)).to.equal(true);
      }),
    );
  });

  it("the table of mh names every backend in proportion to its weight", () => {
    const table = maglevTable(backends([1, 2, 3, 4]));
    const counts = [0, 1, 2, 3].map((index) => table.filter((entry) => entry === index).length);
    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(MH_ENTRIES);
    for (const [index, count] of counts.entries()) expect(count / MH_ENTRIES).to.be.closeTo((index + 1) / 10, 0.01);
  });

  it("when a backend goes, mh moves hardly any client of the others", () => {
    const all = backends([1, 1, 1, 1, 1, 1, 1, 1]);
    const before = maglevTable(all);
    for (const gone of all.keys()) {
      const left = all.filter((_, index) => index !== gone);
      const after = maglevTable(left);
      const moved = [...before].filter(
        (backend, entry) => backend !== gone && all[backend] !== left[after[entry] ?? -1],
      );
      expect(moved.length / MH_ENTRIES, `without ${gone}`).to.be.lessThan(0.1);
    }
  });
});
