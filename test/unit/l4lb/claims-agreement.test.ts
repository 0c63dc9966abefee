import { expect } from "chai";
import fc from "fast-check";
import type { VipPool } from "../../../l4lb/address.ts";
import { AddressBook, type SaidClaim } from "../../../l4lb/address-book.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";

/** So small that hashes collide all the time. */
const POOL: VipPool = { min: parseIp("11.0.0.0"), max: parseIp("11.0.0.11") };
const NODES = ["n1", "n2", "n3", "n4"] as const;
const NAMES = ["a", "b", "c", "d", "e", "f", "g"] as const;
type NodeId = (typeof NODES)[number];

/** All that one node says: which names it hosts, and what it claims for them. */
interface Word {
  readonly version: number;
  readonly hosts: ReadonlySet<string>;
  readonly claims: ReadonlyMap<string, Pick<SaidClaim, "address" | "since">>;
}

/** A node with what it has heard, itself included. */
class Member {
  readonly heard = new Map<string, Word>();
  readonly id: NodeId;

  constructor(id: NodeId) {
    this.id = id;
    this.heard.set(id, { version: 0, hosts: new Set(), claims: new Map() });
  }

  get word(): Word {
    return this.heard.get(this.id) ?? { version: 0, hosts: new Set(), claims: new Map() };
  }

  /** What it computes from what it has heard, always from nothing, as after a restart. */
  book(reaches: (owner: string) => boolean): AddressBook {
    const book = new AddressBook(POOL);
    for (const [owner, { hosts, claims }] of this.heard) {
      for (const name of hosts) book.want(name);
      for (const [name, claim] of claims) book.claim({ owner, name, ...claim, reachable: reaches(owner) });
    }
    book.settle();
    return book;
  }

  /** Claims for the names that it hosts; false when it says what it said before. */
  speak(reaches: (owner: string) => boolean, now: number, hosts = this.word.hosts): boolean {
    this.heard.set(this.id, { ...this.word, hosts });
    const book = this.book(reaches);
    const claims = new Map<string, Pick<SaidClaim, "address" | "since">>();
    for (const name of hosts) {
      const standing = book.standing(name);
      if (standing !== undefined) claims.set(name, { address: standing.address, since: standing.since ?? now });
    }
    const { version, claims: before } = this.word;
    this.heard.set(this.id, { version: version + 1, hosts, claims });
    return !Bun.deepEquals(before, claims);
  }

  hear(other: Member): boolean {
    let news = false;
    for (const [owner, word] of other.heard) {
      if (word.version <= (this.heard.get(owner)?.version ?? -1)) continue;
      this.heard.set(owner, word);
      news = true;
    }
    return news;
  }
}

/** A cluster whose nodes hear each other within their part of it. */
class World {
  readonly members = new Map(NODES.map((id) => [id, new Member(id)]));
  part: ReadonlyMap<NodeId, number> = new Map(NODES.map((id) => [id, 0]));
  now = 1000;

  reaches(id: NodeId): (owner: string) => boolean {
    return (owner) => this.part.get(owner as NodeId) === this.part.get(id);
  }

  member(id: NodeId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  host(id: NodeId, name: string, hosts: boolean): void {
    const member = this.member(id);
    const next = new Set(member.word.hosts);
    if (hosts) next.add(name);
    else next.delete(name);
    this.now += 1;
    member.speak(this.reaches(id), this.now, next);
  }

  tell(from: NodeId, to: NodeId): void {
    if (this.part.get(from) !== this.part.get(to)) return;
    this.now += 1;
    if (this.member(to).hear(this.member(from))) this.member(to).speak(this.reaches(to), this.now);
  }

  /** Lets everybody talk until nobody has news; fails when that doesn't end. Before anybody gives up a claim, which
   *  nodes do only after a while (l4lb/own-claims.ts), the news of nodes that came back has arrived. */
  settle(): void {
    for (const _ of NODES) this.#pairs((from, to) => this.member(to).hear(this.member(from)));
    for (let round = 0; round < 50; round++) {
      const before = NODES.map((id) => this.member(id).word.claims);
      this.#pairs((from, to) => this.tell(from, to));
      for (const id of NODES) this.member(id).speak(this.reaches(id), this.now);
      this.#pairs((from, to) => this.tell(from, to));
      if (
        Bun.deepEquals(
          before,
          NODES.map((id) => this.member(id).word.claims),
        )
      )
        return;
    }
    throw new Error("the nodes don't come to an end");
  }

  #pairs(action: (from: NodeId, to: NodeId) => void): void {
    for (const from of NODES) for (const to of NODES) if (this.part.get(from) === this.part.get(to)) action(from, to);
  }

  /** Address of each name that is hosted in the part of `id`, as that node sees it. */
  addresses(id: NodeId): Map<string, string> {
    const book = this.member(id).book(this.reaches(id));
    const hosted = NODES.filter(this.reaches(id)).flatMap((node) => [...this.member(node).word.hosts]);
    return new Map(
      [...new Set(hosted)].sort().map((name) => {
        const standing = book.standing(name);
        if (standing === undefined) throw new Error(`${name} has no address on ${id}`);
        return [name, formatIp(standing.address)];
      }),
    );
  }

  /** Checks that each part agrees, and gives its addresses, by part. */
  agreed(): Map<number, Map<string, string>> {
    const parts = new Map<number, Map<string, string>>();
    for (const [id, part] of this.part) {
      const own = this.addresses(id);
      expect(new Set(own.values()).size, "two names have one address").to.equal(own.size);
      const others = parts.get(part);
      if (others !== undefined) expect(own).to.deep.equal(others);
      parts.set(part, own);
    }
    return parts;
  }
}

const node = fc.constantFrom(...NODES);
const event = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("host" as const),
      node,
      name: fc.constantFrom(...NAMES),
      hosts: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("tell" as const), from: node, to: node }) },
);
const parts = fc.tuple(...NODES.map(() => fc.integer({ min: 0, max: 1 })));
const history = fc.array(fc.record({ events: fc.array(event, { maxLength: 12 }), parts }), { maxLength: 8 });

/** Names of which some node in this part hosted them all the time. */
function living(world: World, before: Map<string, Set<NodeId>>, part: number): Set<string> {
  return new Set(
    NAMES.filter((name) =>
      [...(before.get(name) ?? [])].some((id) => world.part.get(id) === part && world.member(id).word.hosts.has(name)),
    ),
  );
}

type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** Lets things happen, and checks that nothing that lived all the time has moved. */
function play(world: World, events: readonly Event[], before: Map<number, Map<string, string>>) {
  // A name that was stopped and started again on the way has not lived all the time.
  const stopped = new Set(events.flatMap((each) => (each.type === "host" && !each.hosts ? each.name : [])));
  const hosts = new Map(
    NAMES.map((name) => [name, new Set(NODES.filter((id) => world.member(id).word.hosts.has(name)))]),
  );
  for (const each of events) {
    if (each.type === "tell") world.tell(each.from, each.to);
    else world.host(each.node, each.name, each.hosts);
  }
  world.settle();
  const after = world.agreed();
  for (const [part, addresses] of after) {
    for (const name of living(world, hosts, part).difference(stopped))
      expect(addresses.get(name)).to.equal(before.get(part)?.get(name));
  }
  return after;
}

describe("the addresses of names in a cluster", function () {
  this.timeout(30_000);

  it("are the same on all nodes that hear each other, different for different names, and stay", () => {
    fc.assert(
      fc.property(history, (stages) => {
        const world = new World();
        let agreed = world.agreed();
        for (const { events, parts: split } of stages) agreed = regroup(world, play(world, events, agreed), split);
      }),
      { numRuns: 400 },
    );
  });
});

/** Splits and joins parts, lets them settle, and checks who moved. */
function regroup(world: World, before: Map<number, Map<string, string>>, split: readonly number[]) {
  const was = world.part;
  world.part = new Map(NODES.map((id, index) => [id, split[index] ?? 0]));
  world.settle();
  const after = world.agreed();
  for (const [part, addresses] of after) {
    const sides = new Set(NODES.filter((id) => world.part.get(id) === part).map((id) => was.get(id) ?? 0));
    const known = [...sides].map((side) => before.get(side) ?? new Map<string, string>());
    const disputed = disputes(known);
    const moved = [...addresses].filter(([name, address]) =>
      known.some((side) => (side.get(name) ?? address) !== address),
    );
    for (const [name] of moved) expect(disputed.names, `${name} moved`).to.include(name);
    if (disputed.apart === 0) expect(moved.length).to.be.at.most(disputed.addresses);
  }
  return after;
}

/** Names that have an address of another name, or another address, on the other side. `addresses`: how many addresses
 *  two names have; `apart`: how many names have two addresses. */
function disputes(sides: readonly ReadonlyMap<string, string>[]) {
  const names = new Set<string>();
  let [addresses, apart] = [0, 0];
  const [one = new Map<string, string>(), two = new Map<string, string>()] = sides;
  for (const [name, address] of one) {
    if (two.has(name) && two.get(name) !== address) {
      names.add(name);
      apart += 1;
    }
    for (const [other, same] of two) {
      if (other === name || same !== address) continue;
      names.add(name).add(other);
      addresses += 1;
    }
  }
  return { names, addresses, apart };
}
