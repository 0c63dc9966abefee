import { expect } from "chai";
import { formatPrefix } from "../../../../lib/address.ts";
import { OverlayLeader, type Publication } from "../../../../overlay/leader/leader.ts";
import type { OverlayNetwork } from "../../../../overlay/leader/network.ts";
import type { NodeFact } from "../../../../overlay/leader/types.ts";
import { failure, MemoryStore, type MemoryTerm, network, node, quiet, rejectionOf } from "./fixture.ts";

interface Running {
  readonly leader: OverlayLeader;
  readonly term: MemoryTerm;
  readonly publications: Publication[];
  readonly live: Map<string, NodeFact>;
}

async function running(store: MemoryStore, wanted: OverlayNetwork = network(), count = 0): Promise<Running> {
  const term = await store.lead();
  const publications: Publication[] = [];
  const live = new Map<string, NodeFact>();
  const leader = new OverlayLeader({
    term,
    network: wanted,
    live: (id) => live.get(id),
    containers: () => count,
    publish: (publication) => publications.push(publication),
    log: quiet,
  });
  return { leader, term, publications, live };
}

async function started(store: MemoryStore, wanted?: OverlayNetwork, count?: number): Promise<Running> {
  const all = await running(store, wanted, count);
  await all.leader.start();
  return all;
}

const A = node("a", "10.0.0.1");
const B = node("b", "10.0.0.2");

describe("a leader", () => {
  it("stores before it publishes, and publishes before it answers", async () => {
    const store = new MemoryStore();
    const order: string[] = [];
    const term = await store.lead();
    const commit = term.commit.bind(term);
    term.commit = async (changes) => {
      order.push("store begins");
      await commit(changes);
      order.push("stored");
    };
    const publish = () => order.push("published");
    const options = { live: () => undefined, containers: () => 0, log: quiet };
    const leader = new OverlayLeader({ ...options, term, network: network(), publish });
    await leader.start();
    order.length = 0;
    await leader.register(A);
    order.push("answered");
    expect(order).to.deep.equal(["store begins", "stored", "published", "answered"]);
  });

  for (const fate of ["fail-before", "fail-half", "fail-after"] as const) {
    it(`publishes nothing of a write that ends with ${fate}, and ends its term`, async () => {
      const store = new MemoryStore();
      const { leader, term, publications } = await started(store);
      publications.length = 0;
      store.fates = [fate];
      expect((await rejectionOf(leader.register(A))).code).to.equal("unavailable");
      expect(publications).to.deep.equal([]);
      expect(leader.registry.records.size).to.equal(0);
      expect(term.resigned).to.equal(true);
      expect((await rejectionOf(leader.register(B))).code).to.equal("unavailable");
      const next = await started(store);
      await next.leader.register(B);
      await next.leader.register(A);
      const macs = [...next.leader.registry.records.values()].map(({ vtep }) => vtep.mac);
      expect(new Set(macs).size).to.equal(2);
    });
  }

  for (const fate of ["hang-before", "hang-after"] as const) {
    it(`publishes nothing of a write that ends with ${fate}, when its term is lost`, async () => {
      const store = new MemoryStore();
      const { leader, term, publications } = await started(store);
      publications.length = 0;
      store.fates = [fate];
      const answers = [rejectionOf(leader.register(A)), rejectionOf(leader.register(B))];
      await Promise.resolve();
      const late = rejectionOf(leader.forget(["a"]));
      term.lose(failure("unavailable", "session expired"));
      for (const answer of await Promise.all([...answers, late])) expect(answer.message).to.include("session expired");
      expect(publications).to.deep.equal([]);
    });
  }

  it("publishes everything stored under its own epoch when it begins", async () => {
    const store = new MemoryStore();
    const first = await started(store);
    await Promise.all([first.leader.register(A), first.leader.register(B)]);
    const second = await started(store);
    const { assignments, network: configuration } = second.publications.at(-1) ?? {
      assignments: [],
      network: undefined,
    };
    expect(assignments.map(({ node: id, epoch }) => `${id} ${epoch}`).sort()).to.deep.equal(["a 2", "b 2"]);
    expect(configuration?.epoch).to.equal(2);
  });

  it("stores requests that come together in one write", async () => {
    const store = new MemoryStore();
    const { leader, term } = await started(store);
    let writes = 0;
    const commit = term.commit.bind(term);
    term.commit = (changes) => {
      writes += 1;
      return commit(changes);
    };
    const nodes = Array.from({ length: 200 }, (_, index) => node(`n${index}`, `10.0.1.${index}`));
    await Promise.all(nodes.map((each) => leader.register(each)));
    expect(writes).to.equal(1);
    expect(leader.registry.records.size).to.equal(200);
  });

  it("writes and publishes nothing for a node that says the same again", async () => {
    const store = new MemoryStore();
    const { leader, publications } = await started(store);
    await leader.register(A);
    const before = [store.history.length, publications.length];
    await leader.register(A);
    expect([store.history.length, publications.length]).to.deep.equal(before);
  });

  it("refuses ids that are no names of files or znodes, and stores nothing", async () => {
    const store = new MemoryStore();
    const { leader } = await started(store);
    const before = store.state;
    for (const id of ["", "../epoch", "a/b", "-x", "x".repeat(129)]) {
      expect((await rejectionOf(leader.register(node(id, "10.0.0.1")))).code).to.equal("invalid");
    }
    expect(store.state).to.equal(before);
  });

  it("refuses to forget a node that is alive, and forgets nobody then", async () => {
    const { leader, live } = await started(new MemoryStore());
    live.set("b", B);
    await Promise.all([leader.register(A), leader.register(B)]);
    const refusal = await rejectionOf(leader.forget(["a", "b"]));
    expect(refusal.code).to.equal("busy");
    expect(refusal.message).to.match(/b may be alive/);
    expect(leader.registry.records.size).to.equal(2);
  });

  it("serves a waiting node as soon as another one is forgotten, and tells both", async () => {
    const small = network({ vtep_subnet: "44.128.0.0/30" });
    const { leader, live, publications } = await started(new MemoryStore(), small);
    const C = node("c", "10.0.0.3");
    for (const each of [A, B, C]) {
      if (each !== A) live.set(each.id, each);
      await leader.register(each);
    }
    const refused = publications.at(-1)?.assignments[0];
    expect(refused).to.include({ node: "c", vtep: undefined });
    expect(refused?.refused[0]).to.include({ code: "exhausted", key: "vtep_subnet" });
    await leader.forget(["a"]);
    const { withdrawn = [], assignments = [] } = publications.at(-1) ?? {};
    expect(withdrawn).to.deep.equal(["a"]);
    expect(assignments.map(({ node: id, vtep }) => [id, vtep && formatPrefix(vtep.ip)])).to.deep.equal([
      ["c", "44.128.0.1/30"],
    ]);
    expect(assignments[0]?.refused).to.deep.equal([]);
  });

  it("gives living nodes a new overlay at once", async () => {
    const store = new MemoryStore();
    const overlays = [{ name: "a", subnet: "9.0.0.0/8", prefix: 24 }];
    const { leader, live, publications } = await started(store, network({ overlays }));
    live.set("a", A);
    await leader.register(A);
    await leader.register(B);
    overlays.push({ name: "b", subnet: "10.64.0.0/16", prefix: 24 });
    await leader.reconfigure(network({ overlays }));
    const last = publications.at(-1);
    expect(last?.network?.network.overlays).to.have.length(2);
    expect(last?.assignments.map(({ node: id }) => id)).to.deep.equal(["a"]);
    expect([...(leader.registry.records.get("a")?.subnets.keys() ?? [])]).to.deep.equal(["a", "b"]);
  });

  it("keeps the stored configuration in force when the wanted one would orphan containers, and says why", async () => {
    const store = new MemoryStore();
    const first = await started(store);
    await first.leader.register(A);
    const wanted = network({ overlays: [{ name: "x", subnet: "9.0.0.0/8", prefix: 24 }] });
    const second = await started(store, wanted, 3);
    expect(second.leader.networkProblem).to.match(/overlay dcos subnet: it is enabled.*\(nodes a\)/);
    expect(second.leader.registry.network).to.deep.equal(network());
    expect(second.publications.at(-1)?.network?.network).to.deep.equal(network());
    await second.leader.register(B);
    expect([...(second.leader.registry.records.get("b")?.subnets.keys() ?? [])]).to.deep.equal(["dcos", "dcos6"]);
  });

  it("doesn't begin on a store that contradicts itself", async () => {
    const store = new MemoryStore();
    const { leader } = await started(store);
    await leader.register(A);
    const [record] = store.state.records;
    if (record === undefined) throw new Error("a is stored");
    store.write([{ do: "put", record: { ...record, id: "b", address: B.address } }]);
    const refusal = await rejectionOf(running(store));
    expect(refusal.code).to.equal("conflict");
    expect(refusal.message).to.match(/at node b: it holds 44.128.0.1\/32 of vtep_subnet/);
  });
});
