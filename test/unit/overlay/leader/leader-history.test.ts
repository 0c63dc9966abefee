import { expect } from "chai";
import fc from "fast-check";
import { currentAssignments } from "../../../../overlay/leader/assignment.ts";
import { OverlayLeader, type Publication } from "../../../../overlay/leader/leader.ts";
import type { OverlayNetwork } from "../../../../overlay/leader/network.ts";
import { registryOf } from "../../../../overlay/leader/registry.ts";
import type { StoredState } from "../../../../overlay/leader/stored.ts";
import type { AssignmentFact, NodeFact } from "../../../../overlay/leader/types.ts";
import { type Fate, failure, MemoryStore, type MemoryTerm, network, node, piecesOf, quiet } from "./fixture.ts";

/** Small ranges, so that they run out, and configurations that widen, narrow, add, disable and take out. */
const A = { name: "a", subnet: "9.0.0.0/16", prefix: 19 };
const B = { name: "b", subnet: "10.64.0.0/16", prefix: 18, subnet6: "fd01:b::/62", prefix6: 64 };
const base = { vtep_subnet: "44.128.0.0/29" };
const NETWORKS: readonly OverlayNetwork[] = [
  network({ ...base, overlays: [A] }),
  network({ ...base, overlays: [A, B] }),
  network({ ...base, overlays: [{ ...A, enabled: false }, B] }),
  network({ ...base, overlays: [B] }),
  network({ ...base, overlays: [{ ...A, subnet: "9.0.0.0/15" }, B] }),
  network({ ...base, overlays: [{ ...A, prefix: 20 }, B] }),
  network({ vtep_subnet: "44.128.0.0/28", vtep_mac_oui: "02:00:00:00:00:00", overlays: [A, B] }),
];

type Step =
  | { readonly do: "appear"; readonly id: number; readonly address: number }
  | { readonly do: "crowd"; readonly ids: readonly number[]; readonly address: number }
  | { readonly do: "vanish"; readonly id: number }
  | { readonly do: "forget"; readonly id: number }
  | { readonly do: "configure"; readonly network: number }
  | { readonly do: "fate"; readonly fate: Fate }
  | { readonly do: "newLeader" }
  | { readonly do: "oldLeader"; readonly id: number; readonly address: number };

const id = fc.nat(8);
const address = fc.nat(8);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("appear" as const), id, address }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("crowd" as const), ids: fc.array(id, { maxLength: 6 }), address }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("vanish" as const), id }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("forget" as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("configure" as const), network: fc.nat(NETWORKS.length - 1) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fate" as const),
      fate: fc.constantFrom<Fate>("fail-before", "fail-after", "fail-half", "hang-before", "hang-after"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("newLeader" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("oldLeader" as const), id, address }) },
);

/** A cluster in which masters come and go; checks what must hold after every step. */
class World {
  readonly store = new MemoryStore();
  readonly live = new Map<string, NodeFact>();
  readonly published: AssignmentFact[] = [];
  /** What was published without being stored. */
  readonly premature: string[] = [];
  wanted = NETWORKS[0] ?? network();
  old: OverlayLeader | undefined;
  leader: OverlayLeader | undefined;
  #term: MemoryTerm | undefined;

  async lead(): Promise<void> {
    this.old = this.leader ?? this.old;
    const term = await this.store.lead();
    this.#term = term;
    const leader = new OverlayLeader({
      term,
      network: this.wanted,
      live: (each) => this.live.get(each),
      // Every second node always has containers, so that some changes are refused and some are not.
      containers: (each) => Number(each.slice(1)) % 2,
      publish: (publication) => this.#publish(publication, term),
      log: quiet,
    });
    this.leader = leader;
    await this.finish(leader.start());
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "appear":
        return await this.finish(this.#appear(step.id, step.address));
      case "crowd": {
        const requests = step.ids.map((each, index) => this.#appear(each, (step.address + index) % 9));
        return await this.finish(Promise.allSettled(requests).then(() => undefined));
      }
      case "vanish":
        this.live.delete(`n${step.id}`);
        return;
      case "forget":
        return await this.finish(this.leader?.forget([`n${step.id}`]));
      case "configure":
        this.wanted = NETWORKS[step.network] ?? this.wanted;
        return await this.finish(this.leader?.reconfigure(this.wanted));
      case "fate":
        this.store.fates.push(step.fate);
        return;
      case "newLeader":
        return await this.lead();
      case "oldLeader": {
        const before = this.store.state;
        await this.finish(this.old?.register(node(`n${step.id}`, `172.16.0.${step.address + 1}`)));
        expect(this.store.state).to.equal(before);
      }
    }
  }

  #appear(number: number, place: number): Promise<void> | undefined {
    const fact = node(`n${number}`, `172.16.0.${place + 1}`);
    this.live.set(fact.id, fact);
    return this.leader?.register(fact);
  }

  /** Waits for a request. One that hangs in the store ends when the term is lost, as the real stores see to. */
  async finish(request: Promise<void> | undefined): Promise<void> {
    let done = false;
    const settled = request?.then(
      () => undefined,
      () => undefined,
    );
    void settled?.then(() => {
      done = true;
    });
    for (let turn = 0; turn < 30 && !done && settled !== undefined; turn++) await Promise.resolve();
    if (!done && settled !== undefined) {
      this.#term?.lose(failure("unavailable", "no answer"));
      await settled;
    }
    if (this.leader !== undefined && this.#term?.resigned === true) await this.lead();
  }

  /** Whatever is published is stored at that moment. */
  #publish({ assignments }: Publication, term: MemoryTerm): void {
    const stored = new Map(this.store.state.records.map((record) => [record.id, record]));
    for (const assignment of assignments) {
      this.published.push(assignment);
      // A leader that doesn't know yet that it is deposed repeats what was stored once; readers let the later epoch
      // win.
      if (assignment.vtep === undefined || term.epoch !== this.store.epoch) continue;
      const record = stored.get(assignment.node);
      const held = new Set(record === undefined ? [] : piecesOf(record));
      this.premature.push(...piecesOf(asRecord(assignment)).filter((piece) => !held.has(piece)));
    }
  }

  check(): void {
    for (const state of this.store.history.splice(0)) expectDistinct(state.records.map(piecesOf));
    expect(this.premature).to.deep.equal([]);
    const { registry } = this.leader ?? {};
    if (registry !== undefined) {
      // Nothing leaks: what the pools lack is what the records hold.
      expect(registry.pools).to.deep.equal(registryOf(registry.network, registry.records.values()).pools);
      expect(registry.records).to.deep.equal(new Map(this.store.state.records.map((record) => [record.id, record])));
    }
    const seen = currentAssignments(this.published);
    expectDistinct(seen.flatMap((each) => (each.vtep === undefined ? [] : [piecesOf(asRecord(each))])));
  }
}

function asRecord({ vtep, subnets }: AssignmentFact): Parameters<typeof piecesOf>[0] {
  if (vtep === undefined) throw new Error("it has no endpoint");
  return { vtep: { ip: vtep.ip.ip, ip6: vtep.ip6?.ip, mac: vtep.mac }, subnets };
}

function expectDistinct(lists: readonly (readonly string[])[]): void {
  const all = lists.flat();
  expect(new Set(all).size, all.join(" ")).to.equal(all.length);
}

/** A node keeps what it has until it is forgotten, or its overlay is taken out. */
function expectKept(before: StoredState, after: StoredState, forgotten: string | undefined): void {
  const now = new Map(after.records.map((record) => [record.id, record]));
  const overlays = new Set(after.network?.overlays.map(({ name }) => name));
  for (const record of before.records) {
    if (record.id === forgotten) continue;
    const kept = [...record.subnets].filter(([name]) => overlays.has(name));
    const held = now.get(record.id);
    expect(held, record.id).not.to.equal(undefined);
    expect(held?.vtep).to.deep.equal(record.vtep);
    for (const [name, subnets] of kept) expect(held?.subnets.get(name), `${record.id} ${name}`).to.deep.equal(subnets);
  }
}

describe("the leader's history", () => {
  it("never has two nodes with one subnet, endpoint or hardware address, whatever happens in whatever order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const world = new World();
        await world.lead();
        for (const each of steps) {
          const before = world.store.state;
          await world.take(each);
          world.check();
          expectKept(before, world.store.state, each.do === "forget" ? `n${each.id}` : undefined);
        }
      }),
      { numRuns: 400 },
    );
  }).timeout(120_000);

  it("never frees what a living node holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const world = new World();
        await world.lead();
        for (const each of steps) {
          const alive = world.store.state.records
            .filter((record) => world.live.has(record.id))
            .map((record) => record.id);
          await world.take(each);
          expect(world.store.state.records.map((record) => record.id)).to.include.members(alive);
        }
      }),
      { numRuns: 100 },
    );
  }).timeout(120_000);
});
