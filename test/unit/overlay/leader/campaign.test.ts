import { expect } from "chai";
import type { Log } from "../../../../lib/log.ts";
import { type Campaign, startCampaign } from "../../../../overlay/leader/campaign.ts";
import type { Publication } from "../../../../overlay/leader/leader.ts";
import type { OverlayNetwork } from "../../../../overlay/leader/network.ts";
import type { NodeFact } from "../../../../overlay/leader/types.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";
import { failure, MemoryStore, type MemoryTerm, network, node, quiet, rejectionOf } from "./fixture.ts";

interface Stage {
  readonly campaign: Campaign;
  readonly clock: FakeClock;
  readonly store: WatchedStore;
  readonly live: Map<string, NodeFact>;
  readonly publications: Publication[];
  containers: number;
}

/** Remembers the terms it gave, and can be away. */
class WatchedStore extends MemoryStore {
  readonly terms: MemoryTerm[] = [];
  tries = 0;
  away = false;

  /** Another process leads. */
  taken = false;

  override async lead(_signal?: AbortSignal, onWaiting = () => {}): Promise<MemoryTerm> {
    this.tries += 1;
    if (this.away) throw failure("unavailable", "nobody answers");
    if (this.taken) {
      onWaiting();
      return new Promise(() => {});
    }
    const term = await super.lead();
    this.terms.push(term);
    return term;
  }
}

async function stage(
  options: { nodes?: NodeFact[]; network?: OverlayNetwork; store?: WatchedStore; log?: Log } = {},
): Promise<Stage> {
  const store = options.store ?? new WatchedStore();
  const live = new Map((options.nodes ?? []).map((each) => [each.id, each]));
  const clock = fakeClock();
  const publications: Publication[] = [];
  const all = { store, live, clock, publications, containers: 0 };
  const campaign = startCampaign({
    store,
    network: options.network ?? network(),
    live: (id) => live.get(id),
    containers: () => all.containers,
    publish: (publication) => publications.push(publication),
    log: options.log ?? quiet,
    nodes: () => live.values(),
    clock,
    random: () => 0.5,
  });
  await settle(clock, 0);
  return Object.assign(all, { campaign });
}

async function settle(clock: FakeClock, ms: number): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await clock.advance(turn === 0 ? ms : 0);
}

describe("a campaign", () => {
  it("registers every living node when its term begins, and those that come later", async () => {
    const { campaign, clock } = await stage({ nodes: [node("a", "10.0.0.1")] });
    campaign.observe(node("b", "10.0.0.2"));
    await settle(clock, 0);
    expect([...(campaign.leader()?.registry.records.keys() ?? [])]).to.deep.equal(["a", "b"]);
    await campaign.stop();
  });

  it("stands again after a lost term, with a higher epoch", async () => {
    const { campaign, clock, store } = await stage();
    store.terms[0]?.lose(failure("unavailable", "session expired"));
    await settle(clock, 0);
    expect(campaign.leader()).to.equal(undefined);
    await settle(clock, 1000);
    expect(campaign.leader()?.epoch).to.equal(2);
    await campaign.stop();
  });

  it("stands again after a failed write, and then serves the nodes that were refused by it", async () => {
    const { campaign, clock, store, live } = await stage();
    store.fates = ["fail-after"];
    const fact = node("a", "10.0.0.1");
    live.set("a", fact);
    campaign.observe(fact);
    await settle(clock, 0);
    await settle(clock, 1000);
    expect(campaign.leader()?.registry.records.get("a")?.vtep.mac).to.equal("70:b3:d5:80:00:01");
    await campaign.stop();
  });

  it("tries a store that is away again within half a second, at first", async () => {
    const store = new WatchedStore();
    store.away = true;
    const { campaign, clock } = await stage({ store });
    await clock.advance(500);
    expect(store.tries).to.equal(2);
    await campaign.stop();
  });

  it("tries a store that is away less and less often, and says what is wrong", async () => {
    const store = new WatchedStore();
    store.away = true;
    const { campaign, clock } = await stage({ store });
    expect(campaign.problem()).to.match(/nobody answers/);
    for (let second = 0; second < 300; second++) await clock.advance(1000);
    expect(store.tries).to.be.within(20, 60);
    store.away = false;
    await clock.advance(15_000);
    await settle(clock, 0);
    expect(campaign.leader()?.epoch).to.equal(1);
    expect(campaign.problem()).to.equal(undefined);
    await campaign.stop();
  });

  it("has no problem any more while it waits for another to end", async () => {
    const store = new WatchedStore();
    store.away = true;
    const { campaign, clock } = await stage({ store });
    expect(campaign.problem()).to.include("nobody answers");
    Object.assign(store, { away: false, taken: true });
    await settle(clock, 20_000);
    expect(campaign.problem()).to.equal(undefined);
    expect(campaign.leader()).to.equal(undefined);
  });

  it("resigns when it is stopped, and stands no more", async () => {
    const { campaign, clock, store } = await stage();
    await campaign.stop();
    expect(store.terms[0]?.resigned).to.equal(true);
    await settle(clock, 60_000);
    expect(store.tries).to.equal(1);
    expect(clock.pending()).to.be.at.most(1);
  });

  it("puts a configuration in force in a later term that an earlier one had to refuse", async () => {
    const a = { name: "a", subnet: "9.0.0.0/8", prefix: 24 };
    const b = { name: "b", subnet: "10.64.0.0/16", prefix: 24 };
    const store = new WatchedStore();
    const nodes = [node("n", "10.0.0.1")];
    const first = await stage({ store, nodes, network: network({ overlays: [a, b] }) });
    await first.campaign.reconfigure(network({ overlays: [{ ...a, enabled: false }, b] }));
    await first.campaign.stop();
    const second = await stage({ store, nodes, network: network({ overlays: [{ ...a, enabled: false }, b] }) });
    second.containers = 2;
    const retired = network({ overlays: [b] });
    expect((await rejectionOf(second.campaign.reconfigure(retired))).message).to.match(/containers still run/);
    await second.campaign.stop();
    const third = await stage({ store, nodes, network: retired });
    third.containers = 0;
    expect(third.campaign.leader()?.registry.network.overlays).to.have.length(1);
    await third.campaign.stop();
  });

  it("retries by itself what was refused at the start of its term", async () => {
    const a = { name: "a", subnet: "9.0.0.0/8", prefix: 24 };
    const b = { name: "b", subnet: "10.64.0.0/16", prefix: 24 };
    const store = new WatchedStore();
    const nodes = [node("n", "10.0.0.1")];
    const before = await stage({ store, nodes, network: network({ overlays: [{ ...a, enabled: true }, b] }) });
    await before.campaign.reconfigure(network({ overlays: [{ ...a, enabled: false }, b] }));
    await before.campaign.stop();
    const counted: { value: number | undefined } = { value: undefined };
    const clock = fakeClock();
    const campaign = startCampaign({
      store,
      network: network({ overlays: [b] }),
      live: (id) => nodes.find((each) => each.id === id),
      containers: () => counted.value,
      publish: () => undefined,
      log: quiet,
      nodes: () => nodes,
      clock,
      random: () => 0.5,
    });
    await settle(clock, 0);
    expect(campaign.leader()?.networkProblem).to.match(/not known whether containers still run/);
    counted.value = 0;
    await settle(clock, 6000);
    expect(campaign.leader()?.networkProblem).to.equal(undefined);
    expect(campaign.leader()?.registry.network.overlays.map(({ name }) => name)).to.deep.equal(["b"]);
    await campaign.stop();
  });
});
