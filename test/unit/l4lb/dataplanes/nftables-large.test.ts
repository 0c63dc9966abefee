import { expect } from "chai";
import fc from "fast-check";
import { openFake } from "../../../../kernel/fake.ts";
import { openNftablesDataplane } from "../../../../l4lb/dataplanes/nftables.ts";
import { elementsOf, type Held, targetDigits } from "../../../../l4lb/dataplanes/nftables-elements.ts";
import { heldAs, heldBy } from "../../../../l4lb/dataplanes/nftables-large.ts";
import { slotCounts } from "../../../../l4lb/dataplanes/nftables-slots.ts";
import type { Service } from "../../../../l4lb/service.ts";
import { service } from "../../../support/vip-services.ts";

const TABLE = ["inet", "dcos_l4lb"] as const;

/** A service with a backend for each weight; undefined stands for one that isn't there. */
function weighted(weights: readonly (number | undefined)[]): Service {
  return service(
    "tcp 11.0.0.1:80",
    weights.flatMap((weight, index) =>
      weight === undefined ? [] : [[`10.0.${index >> 8}.${index & 255}`, weight] as const],
    ),
  );
}

const weight = fc.constantFrom(0, 1, 1, 1, 2, 3, undefined);
const many = fc.array(weight, { minLength: 600, maxLength: 700 });
const changes = fc.array(fc.tuple(fc.integer({ min: 0, max: 699 }), weight), { maxLength: 8 });

/** Slots by backend. */
function countsOf({ lead }: Held): Map<string, number> {
  const counts = new Map<string, number>();
  for (const target of lead?.targets ?? []) counts.set(target, (counts.get(target) ?? 0) + 1);
  return counts;
}

describe("the choice among the backends of a large service", function () {
  this.timeout(60_000);

  it("gives each its slots, fills more than half of its map from 0 on, and moves no more than changes", () => {
    fc.assert(
      fc.property(many, changes, (first, later) => {
        let weights = first;
        let held = heldAs(weighted(weights), undefined);
        for (const [index, changed] of later) {
          const before = held;
          weights = weights.with(Math.min(index, weights.length - 1), changed);
          const wanted = weighted(weights);
          held = heldAs(wanted, before);
          const due = slotCounts(wanted.backends.map((each) => each.weight));
          const counts = countsOf(held);
          expect(wanted.backends.map((each) => counts.get(targetDigits(each)) ?? 0)).to.deep.equal(due);
          const targets = held.lead?.targets ?? [];
          const size = Number(held.lead?.set.split("_")[1]);
          expect(targets.length).to.be.within(size / 2 + 1, size);
          const moved = targets.filter((target, number) => target !== before.lead?.targets[number]).length;
          expect(moved, "slots with another backend").to.be.at.most(3);
        }
      }),
      { numRuns: 10 },
    );
  });

  it("is read back from its elements in whatever order they come, and not from others", () => {
    const wanted = weighted([...new Array<number>(400).fill(1), 0, 5]);
    const held = heldAs(wanted, heldAs(weighted(new Array<number>(450).fill(1)), undefined));
    const elements = elementsOf(held);
    expect(heldBy(wanted, elements.toReversed())).to.deep.equal(held);
    const slot = elements.findIndex(({ set }) => set.startsWith("large"));
    expect(heldBy(wanted, elements.toSpliced(slot, 1)), "one slot less").to.equal(undefined);
  });

  it("is changed by a few elements, found by another object, and put right when somebody has damaged it", () => {
    const kernel = openFake();
    const open = () => openNftablesDataplane(kernel, { monotonic: () => 0 });
    const plane = open();
    plane.prepare();
    const all = weighted(new Array<number>(1000).fill(1));
    const fewer = weighted(new Array<number | undefined>(1000).fill(1).with(500, undefined));
    const put = (wanted: Service): void => {
      expect(plane.apply([{ do: "put", service: wanted, before: undefined }])).to.deep.equal([undefined]);
    };
    const elements = () => kernel.nftables.rawElements(...TABLE, "large4_1024") ?? [];
    put(all);
    const before = new Set(elements().map(({ key, data }) => `${key} ${data}`));
    put(fewer);
    expect(elements().filter(({ key, data }) => !before.has(`${key} ${data}`))).to.have.length(1);
    expect(elements()).to.have.length(999);
    expect(open().read()).to.deep.equal([fewer]);
    kernel.nftables.changeElements(...TABLE, [{ do: "delete", set: "large4_1024", elements: elements().slice(7, 8) }]);
    expect(plane.read()[0]?.backends, "a damaged service has no backend that could be wanted").to.have.length(1);
    put(fewer);
    expect(open().read()).to.deep.equal([fewer]);
  });
});
