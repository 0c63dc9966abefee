import { expect } from "chai";
import fc from "fast-check";
import { type Handed, HandedQueries } from "../../../../dns/fast/handed.ts";

/** Bytes of the longest query that a worker takes. */
const LONGEST = 2048;

function queryOf(number: number, length: number): Handed {
  const message = Uint8Array.from({ length }, (_, index) => number + index);
  return { fd: number % 1000, message, source: Uint8Array.from({ length: 28 }, (_, index) => number * 3 + index) };
}

/** Puts a query as a worker does, out of the middle of its buffers. */
function put(queries: HandedQueries, { fd, message, source }: Handed): boolean {
  const input = new Uint8Array(message.length + 64);
  input.set(message, 32);
  const sources = new Uint8Array(96);
  sources.set(source, 32);
  return queries.put(fd, input, 32, message.length, sources, 32);
}

describe("queries that are handed over", () => {
  it("come out whole and in order, wherever in the ring they are", function () {
    this.timeout(60_000);
    const writer = new HandedQueries();
    const reader = new HandedQueries(writer.memory);
    const waiting: Handed[] = [];
    let number = 0;
    const step = fc.oneof(
      { weight: 9, arbitrary: fc.record({ length: fc.nat(LONGEST), count: fc.integer({ min: 1, max: 60 }) }) },
      { weight: 1, arbitrary: fc.constant("take" as const) },
    );
    const property = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      for (const each of steps) {
        if (each === "take") {
          expect(Bun.deepEquals([...reader.take()], waiting.splice(0))).to.equal(true);
          continue;
        }
        for (let left = each.count; left > 0; left--) {
          const query = queryOf(number++, each.length);
          if (put(writer, query)) waiting.push(query);
        }
      }
    });
    fc.assert(property, { numRuns: 40 });
    expect(Bun.deepEquals([...reader.take()], waiting)).to.equal(true);
  });

  it("are refused when there is no room, and taken again when there is", () => {
    const queries = new HandedQueries();
    let held = 0;
    while (put(queries, queryOf(held, LONGEST))) held++;
    expect(held).to.be.greaterThan(100);
    expect([...queries.take()].length).to.equal(held);
    expect(put(queries, queryOf(0, LONGEST))).to.equal(true);
  });

  it("are told of once, until the other side looks", () => {
    const queries = new HandedQueries();
    put(queries, queryOf(1, 40));
    expect([queries.mustTell(), queries.mustTell()]).to.deep.equal([true, false]);
    expect([...queries.take()].length).to.equal(1);
    expect(queries.mustTell()).to.equal(true);
  });

  it("that come while others are taken wait for the next time", () => {
    const queries = new HandedQueries();
    put(queries, queryOf(1, 40));
    const taken: number[] = [];
    for (const { fd } of queries.take()) {
      taken.push(fd);
      put(queries, queryOf(2, 40));
      expect(queries.mustTell()).to.equal(true);
    }
    expect(taken).to.deep.equal([1]);
    expect([...queries.take()].map(({ fd }) => fd)).to.deep.equal([2]);
  });
});
