import { expect } from "chai";
import fc from "fast-check";
import { Names } from "../../../gossip/names.ts";
import { type FactChange, Replica } from "../../../gossip/replica.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../../gossip/settings.ts";
import { Summary } from "../../../gossip/summary.ts";
import { NetError } from "../../../lib/error.ts";

interface Peer {
  readonly replica: Replica;
  readonly summary: Summary;
  /** What a reader knows that only follows the changes. */
  readonly followed: Map<string, string>;
  readonly refused: string[];
  time: number;
}

function peer(self: string, settings: Settings = DEFAULT_SETTINGS): Peer {
  const summary = new Summary();
  const followed = new Map<string, string>();
  const refused: string[] = [];
  const result = { summary, followed, refused, time: 0 };
  const onChange = (owner: string, changes: readonly FactChange[]): void => {
    for (const { key, value } of changes) {
      if (value === undefined) followed.delete(`${owner}/${key}`);
      else followed.set(`${owner}/${key}`, value.toHex());
    }
  };
  const onRefused = (owner: string): number => refused.push(owner);
  const replica = new Replica({
    self,
    names: new Names(),
    summary,
    settings,
    now: () => made.time,
    onChange,
    onRefused,
  });
  const made: Peer = Object.assign(result, { replica });
  return made;
}

function viewOf({ replica }: Peer): Map<string, string> {
  const all = [...replica.owners()].flatMap((owner) =>
    replica.facts(owner).map(({ key, value }) => [`${owner}/${key}`, value?.toHex() ?? ""] as const),
  );
  return new Map(all);
}

/** Fetches all that `to` lacks of an owner, in pieces. */
function fetchAll(from: Peer, to: Peer, owner: string, limit: number): void {
  for (let round = 0; round < 1000; round++) {
    const delta = from.replica.delta(to.replica.position(owner), limit);
    if (delta === undefined) return;
    to.replica.apply(delta);
  }
  throw new Error("it never ends");
}

const change = fc.record({
  key: fc.constantFrom("a", "b", "c", "d", "e"),
  value: fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
});

const step = fc.oneof(
  fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => ({ kind: "write" as const, changes })),
  fc.nat(400).map((limit) => ({ kind: "fetch" as const, limit })),
  fc.constant({ kind: "restart" as const }),
  fc.constant({ kind: "wait" as const }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function carryOut(each: Step, owner: Peer, reader: Peer, nextGeneration: () => number): void {
  switch (each.kind) {
    case "write":
      owner.replica.write(each.changes);
      return;
    case "restart":
      owner.replica.begin(nextGeneration());
      return;
    case "wait":
      owner.time += 2 * DEFAULT_SETTINGS.tombstoneLifeMs;
      owner.replica.housekeeping();
      return;
    case "fetch": {
      const delta = owner.replica.delta(reader.replica.position("owner"), each.limit);
      if (delta !== undefined) reader.replica.apply(delta);
    }
  }
}

describe("a replica", () => {
  it("follows its owner through any writes, losses, cuts, restarts and dropped removals", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const owner = peer("owner");
        const reader = peer("reader");
        let generation = 1;
        owner.replica.begin(generation);
        for (const each of steps) {
          carryOut(each, owner, reader, () => ++generation);
          expect(reader.followed).to.deep.equal(viewOf(reader));
        }
        fetchAll(owner, reader, "owner", 60);
        expect(viewOf(reader)).to.deep.equal(viewOf(owner));
        expect(reader.summary.root()).to.deep.equal(owner.summary.root());
      }),
    );
  });

  it("takes nothing twice, and says when something before is missing", () => {
    const owner = peer("owner");
    const reader = peer("reader");
    owner.replica.begin(1);
    owner.replica.write([{ key: "a", value: Uint8Array.of(1) }]);
    const first = owner.replica.delta({ owner: "owner", generation: 1, version: 0, base: 0 }, 1000);
    owner.replica.write([{ key: "b", value: Uint8Array.of(2) }]);
    const second = owner.replica.delta({ owner: "owner", generation: 1, version: 1, base: 0 }, 1000);
    if (first === undefined || second === undefined) throw new Error("no delta");
    expect(reader.replica.apply(second)).to.equal("gap");
    expect(reader.replica.apply(first)).to.equal("applied");
    expect(reader.replica.apply(second)).to.equal("applied");
    expect(reader.replica.apply(second)).to.equal("old");
    expect(reader.replica.apply({ ...first, generation: 0 })).to.equal("old");
  });

  it("writes nothing when a value is unchanged", () => {
    const owner = peer("owner");
    owner.replica.begin(1);
    expect(owner.replica.write([{ key: "a", value: Uint8Array.of(1) }])).not.to.equal(undefined);
    expect(
      owner.replica.write([
        { key: "a", value: Uint8Array.of(1) },
        { key: "b", value: undefined },
      ]),
    ).to.equal(undefined);
  });

  it("shows the former facts of an owner until those of its new self are complete", () => {
    const owner = peer("owner");
    const reader = peer("reader");
    owner.replica.begin(1);
    const facts = Array.from({ length: 30 }, (_, index) => ({ key: `k${index}`, value: new Uint8Array(50) }));
    owner.replica.write(facts);
    fetchAll(owner, reader, "owner", 10_000);
    owner.replica.begin(2);
    const piece = owner.replica.delta(reader.replica.position("owner"), 400);
    if (piece === undefined) throw new Error("no delta");
    expect(reader.replica.apply(piece)).to.equal("staged");
    expect(reader.followed.size).to.equal(30);
    fetchAll(owner, reader, "owner", 400);
    expect(reader.replica.shown("owner").generation).to.equal(2);
    expect(reader.followed.size).to.equal(30);
  });

  it("refuses aloud what exceeds a bound, its own and others', and changes nothing", () => {
    const settings = { ...DEFAULT_SETTINGS, maxFactsPerOwner: 10 };
    const owner = peer("owner", settings);
    owner.replica.begin(1);
    const facts = Array.from({ length: 11 }, (_, index) => ({ key: `k${index}`, value: new Uint8Array(1) }));
    expect(() => owner.replica.write(facts)).to.throw(NetError, "the limits are 10");
    expect(() =>
      owner.replica.write([
        { key: "", value: undefined },
        { key: "x", value: new Uint8Array(60_001) },
      ]),
    ).to.throw(NetError);
    expect(owner.replica.facts("owner")).to.deep.equal([]);
    const large = peer("large");
    large.replica.begin(1);
    large.replica.write(facts);
    const delta = large.replica.delta({ owner: "large", generation: 0, version: 0, base: 0 }, 10_000);
    if (delta === undefined) throw new Error("no delta");
    expect(owner.replica.apply(delta)).to.equal("refused");
    expect(owner.replica.apply(delta)).to.equal("refused");
    expect(owner.refused).to.deep.equal(["large"]);
  });

  it("lets an owner that is full write all that it has anew", () => {
    const settings = { ...DEFAULT_SETTINGS, maxFactsPerOwner: 10, maxBytesPerOwner: 10 * (2 + 8 + 16) };
    const [owner, reader] = [peer("owner", settings), peer("reader", settings)];
    const facts = (content: number) =>
      Array.from({ length: 10 }, (_, index) => ({ key: `k${index}`, value: new Uint8Array(8).fill(content) }));
    owner.replica.begin(1);
    for (const content of [1, 2]) {
      owner.replica.write(facts(content));
      fetchAll(owner, reader, "owner", 100);
      expect(viewOf(reader)).to.deep.equal(
        new Map(facts(content).map(({ key, value }) => [`owner/${key}`, value.toHex()])),
      );
    }
    expect(reader.refused).to.deep.equal([]);
    const more = [{ key: "k10", value: new Uint8Array(8) }];
    expect(() => owner.replica.write(more)).to.throw(NetError, "11 facts of 287 bytes");
  });

  it("keeps what came from the snapshot to itself until somebody living speaks of its owner", () => {
    const reader = peer("reader");
    reader.replica.restore("gone", 5, 3, [{ key: "a", version: 2, value: Uint8Array.of(1) }]);
    expect(reader.replica.get("gone", "a")).to.deep.equal(Uint8Array.of(1));
    expect(reader.replica.held("gone").generation).to.equal(0);
    expect(reader.summary.root()).to.deep.equal({ a: 0, b: 0 });
    reader.replica.confirm("gone");
    expect(reader.replica.held("gone")).to.deep.equal({ owner: "gone", generation: 5, version: 3, base: 3 });
    reader.replica.drop("gone");
    expect(reader.summary.root()).to.deep.equal({ a: 0, b: 0 });
    expect(reader.followed.size).to.equal(0);
  });
});
