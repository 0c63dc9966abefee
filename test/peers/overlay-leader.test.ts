import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { ZooKeeperUrl } from "../../lib/zookeeper-url.ts";
import { type Campaign, startCampaign } from "../../overlay/leader/campaign.ts";
import type { Publication } from "../../overlay/leader/leader.ts";
import { DEFAULT_NETWORK, parseOverlayNetwork } from "../../overlay/leader/network.ts";
import type { Change, NodeRecord } from "../../overlay/leader/registry.ts";
import type { Term } from "../../overlay/leader/store.ts";
import { defaultWish, type NodeFact } from "../../overlay/leader/types.ts";
import { ZooKeeperSession } from "../../overlay/leader/zookeeper-session.ts";
import { zooKeeperStore } from "../../overlay/leader/zookeeper-store.ts";
import { parseZooKeeperUrl } from "../../overlay/leader/zookeeper-url.ts";
import { Cable } from "../support/cable.ts";
import { ZooKeeperServer, zooKeeperProblem } from "../support/zookeeper-server.ts";

/** The longest that the server grants, so that a busy machine ends none. */
const SESSION_MS = 5000;
/** For candidates that stand again by themselves. */
const SHORT_SESSION_MS = 2000;
const NETWORK = parseOverlayNetwork(DEFAULT_NETWORK);
const CANDIDATE = fileURLToPath(new URL("./overlay-leader-candidate.ts", import.meta.url));
const never = new AbortController().signal;
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

function record(id: string, low: number): NodeRecord {
  const mac = `70:b3:d5:80:${(low >> 8).toString(16).padStart(2, "0")}:${(low & 255).toString(16).padStart(2, "0")}`;
  const address = parseIp(`10.0.${low >> 8}.${low & 255}`);
  const ip = parseIp(`44.128.${low >> 8}.${low & 255}`);
  const vtep = { ip, ip6: undefined, mac };
  return { id, address, address6: undefined, superseded: false, wish: defaultWish("agent"), vtep, subnets: new Map() };
}

function put(id: string, low: number): Change {
  return { do: "put", record: record(id, low) };
}

function fact(id: string, address: string): NodeFact {
  return { id, address: parseIp(address), address6: undefined, wish: defaultWish("agent") };
}

async function eventually(what: string, test: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await test())) {
    if (performance.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(25);
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.then(
    () => "accepted",
    (error: unknown) => error,
  );
  return outcome instanceof NetError ? outcome.code : String(outcome);
}

describe("leadership in a real ZooKeeper", function () {
  this.timeout(120_000);
  let server: ZooKeeperServer;
  let url: ZooKeeperUrl;
  /** Undone after each test, last first, whatever has failed. */
  const cleanups: (() => unknown)[] = [];
  let count = 0;

  before(async function () {
    const problem = zooKeeperProblem();
    if (problem !== undefined) {
      console.log(`      skipped: ${problem}`);
      this.skip();
    }
    server = await ZooKeeperServer.create(250);
  });
  after(async () => await server?.remove());
  beforeEach(() => {
    count += 1;
    url = parseZooKeeperUrl(`zk://127.0.0.1:${server.port}/test-${count}/overlay`);
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function lead(name: string, at = url, signal = never): Promise<Term> {
    const store = zooKeeperStore({ url: at, clock: systemClock, sessionMs: SESSION_MS, name });
    const term = await store.lead(signal);
    cleanups.push(() => term.resign());
    return term;
  }

  async function session(at = url): Promise<ZooKeeperSession> {
    const opened = await ZooKeeperSession.open({ url: at, clock: systemClock, sessionMs: SESSION_MS }, never);
    cleanups.push(() => opened.close());
    return opened;
  }

  /** Waits until so many candidates stand in ZooKeeper. */
  async function standing(count: number, admin: ZooKeeperSession): Promise<void> {
    const election = `${url.path}/election`;
    await eventually(`${count} candidates`, async () => (await admin.children(election)).length === count);
  }

  /** Takes the candidate znode of the leader away, so that another one is elected while it believes to lead. */
  async function dethrone(): Promise<void> {
    const admin = await session();
    const election = `${url.path}/election`;
    const [lowest] = (await admin.children(election)).sort();
    await admin.makePath(`${url.path}/admin`);
    const version = await admin.set(`${url.path}/admin`, new Uint8Array());
    await admin.commit(`${url.path}/admin`, version, [{ do: "remove", path: `${election}/${lowest}` }]);
  }

  function campaign(name: string, nodes: Map<string, NodeFact>, at = url) {
    const publications: Publication[] = [];
    const running: Campaign = startCampaign({
      store: zooKeeperStore({ url: at, clock: systemClock, sessionMs: SHORT_SESSION_MS, name }),
      network: NETWORK,
      live: (id) => nodes.get(id),
      containers: () => 0,
      nodes: () => nodes.values(),
      publish: (publication) => publications.push(publication),
      log: quiet,
      clock: systemClock,
      random: Math.random,
    });
    cleanups.push(() => running.stop());
    return { running, publications };
  }

  it("elects one candidate at a time, in the order in which they came, with a higher epoch each", async () => {
    const first = await lead("first");
    const admin = await session();
    const order: string[] = [];
    const join = async (name: string) => {
      const term = await lead(name);
      order.push(`${name} ${term.epoch}`);
      return term;
    };
    const second = join("second");
    await standing(2, admin);
    const third = join("third");
    await standing(3, admin);
    await pause(500);
    expect(order).to.deep.equal([]);
    await first.resign();
    const next = await second;
    expect(order).to.deep.equal([`second ${first.epoch + 1}`]);
    await next.resign();
    await third;
    expect(order[1]).to.equal(`third ${first.epoch + 2}`);
  });

  it("keeps what was stored for the next leader, and tells making from changing and removing", async () => {
    const first = await lead("first");
    expect(first.stored).to.deep.equal({ network: undefined, records: [] });
    await first.commit([put("a", 1), put("b", 2), { do: "network", network: NETWORK }]);
    await first.commit([put("a", 3), { do: "remove", id: "b" }, put("c", 2)]);
    await first.resign();
    const second = await lead("second");
    expect(second.stored).to.deep.equal({ network: NETWORK, records: [record("a", 3), record("c", 2)] });
  });

  it("stores more than one request can carry", async () => {
    const first = await lead("first");
    const changes = Array.from({ length: 4000 }, (_, index) =>
      put(`node-${String(index).padStart(5, "0")}`, index + 1),
    );
    await first.commit(changes);
    await first.resign();
    expect((await lead("second")).stored.records).to.have.length(4000);
  });

  it("shuts a leader out that doesn't know that another one has begun", async () => {
    const first = await lead("first");
    await first.commit([put("a", 1)]);
    await dethrone();
    const second = await lead("second");
    expect(second.epoch).to.equal(first.epoch + 1);
    await second.commit([put("b", 2)]);
    expect(await codeOf(first.commit([put("c", 2)]))).to.equal("conflict");
    await second.commit([put("d", 3)]);
    await second.resign();
    const third = await lead("third");
    expect(third.stored.records.map(({ id }) => id)).to.deep.equal(["a", "b", "d"]);
  });

  it("shuts the old leader out from the moment the new one begins, before that has stored anything", async () => {
    const first = await lead("first");
    await dethrone();
    const second = await lead("second");
    expect(await codeOf(first.commit([put("late", 1)]))).to.equal("conflict");
    await second.resign();
    expect((await lead("third")).stored.records).to.deep.equal([]);
  });

  it("tells a leader whose session has expired", async () => {
    const cable = await Cable.to(server.port);
    cleanups.push(() => cable.remove());
    const far = parseZooKeeperUrl(`zk://127.0.0.1:${cable.port}${url.path}`);
    const first = await lead("first", far);
    const waiting = lead("second");
    // The server took this one's candidacy before the way to it is cut.
    const admin = await session();
    await standing(2, admin);
    cable.cut();
    const second = await waiting;
    expect(second.epoch).to.equal(first.epoch + 1);
    const reason = await first.lost;
    expect(reason.code).to.equal("unavailable");
    expect(await codeOf(first.commit([put("x", 1)]))).to.equal("conflict");
  });

  it("gives a candidacy up when told to, and leaves nothing behind", async () => {
    await lead("first");
    const controller = new AbortController();
    const outcome = codeOf(lead("second", url, controller.signal));
    const admin = await session();
    await standing(2, admin);
    controller.abort();
    expect(await outcome).to.equal("conflict");
    await standing(1, admin);
  });

  it("leaves a store of a newer release alone", async () => {
    const admin = await session();
    await admin.makePath(`${url.path}/epoch`);
    await admin.set(`${url.path}/epoch`, Buffer.from(JSON.stringify({ format: 2 })));
    expect(await codeOf(lead("old"))).to.equal("unsupported");
    expect((await admin.read(`${url.path}/epoch`))?.version).to.equal(1);
  });

  it("keeps others out with user and password", async () => {
    const secret = parseZooKeeperUrl(`zk://us:secret@127.0.0.1:${server.port}${url.path}`);
    const first = await lead("first", secret);
    await first.commit([put("a", 1)]);
    const stranger = await session();
    expect(await codeOf(stranger.read(`${url.path}/nodes/a`))).to.equal("permission");
    expect(await codeOf(stranger.set(`${url.path}/epoch`, new Uint8Array()))).to.equal("permission");
  });

  it("says so when no server answers", async () => {
    const nowhere = parseZooKeeperUrl("zk://127.0.0.1:1/x");
    const store = zooKeeperStore({ url: nowhere, clock: systemClock, sessionMs: 500, name: "x" });
    expect(await codeOf(store.lead(never))).to.equal("unavailable");
  });

  it("goes on with the same allocations after ZooKeeper was killed and started again", async () => {
    const nodes = new Map([fact("a", "10.0.0.1"), fact("b", "10.0.0.2")].map((node) => [node.id, node]));
    const { running, publications } = campaign("only", nodes);
    await eventually("two nodes", () => running.leader()?.registry.records.size === 2);
    const before = new Map(running.leader()?.registry.records);
    const epoch = running.leader()?.epoch ?? 0;
    await server.kill();
    await eventually("no leader", () => running.leader() === undefined);
    nodes.set("c", fact("c", "10.0.0.3"));
    await server.start();
    await eventually("three nodes", () => running.leader()?.registry.records.size === 3, 40_000);
    expect(running.leader()?.epoch).to.be.greaterThan(epoch);
    for (const [id, held] of before) expect(running.leader()?.registry.records.get(id)).to.deep.equal(held);
    const last = publications.flatMap(({ assignments }) => assignments).filter(({ node }) => node === "a");
    expect(last.at(-1)?.epoch).to.equal(running.leader()?.epoch);
  });

  it("lets go of leadership when ZooKeeper hangs, and leads again when it goes on", async () => {
    const nodes = new Map([["a", fact("a", "10.0.0.1")]]);
    const { running } = campaign("only", nodes);
    await eventually("one node", () => running.leader()?.registry.records.size === 1);
    const epoch = running.leader()?.epoch ?? 0;
    server.freeze();
    try {
      await eventually("no leader", () => running.leader() === undefined);
    } finally {
      server.thaw();
    }
    await eventually("leader again", () => (running.leader()?.epoch ?? 0) > epoch, 40_000);
    expect(running.leader()?.registry.records.size).to.equal(1);
  });

  it("gives no address twice when a leader is stopped in its tracks and wakes up deposed", async () => {
    const lines: { event: string; node?: string; epoch?: number; mac?: string }[] = [];
    const target = `zk://127.0.0.1:${server.port}${url.path}`;
    const child = Bun.spawn({
      cmd: [process.execPath, "--bun", CANDIDATE, target, "paused", String(SHORT_SESSION_MS)],
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    cleanups.push(async () => {
      child.kill("SIGKILL");
      await child.exited;
    });
    void collect(child.stdout, (line) => lines.push(JSON.parse(line)));
    const tell = (text: string) => {
      child.stdin.write(text);
      child.stdin.flush();
    };
    const published = () => lines.filter(({ event }) => event === "published");

    tell("a 10.0.0.1\n");
    await eventually("the child leads", () => published().some(({ node }) => node === "a"));
    const nodes = new Map([["b", fact("b", "10.0.0.2")]]);
    const { running, publications } = campaign("other", nodes);
    child.kill("SIGSTOP");
    // The child finds these on its input when it wakes, and takes itself for the leader still.
    tell("c 10.0.0.3\nd 10.0.0.4\n");
    await eventually("the other leads", () => running.leader()?.registry.records.size === 2);
    nodes.set("e", fact("e", "10.0.0.5"));
    running.observe(fact("e", "10.0.0.5"));
    await eventually("three nodes", () => running.leader()?.registry.records.size === 3);
    child.kill("SIGCONT");
    await eventually("the child knows", () => lines.some(({ event }) => event === "no longer leads the overlay"));

    expect([...(running.leader()?.registry.records.keys() ?? [])].sort()).to.deep.equal(["a", "b", "e"]);
    const own = publications
      .flatMap(({ assignments }) => assignments)
      .map(({ node, epoch, vtep }) => ({ node, epoch, mac: vtep?.mac }));
    const owners = new Map<string, string>();
    for (const { node = "", mac = "" } of [...published(), ...own]) {
      expect(owners.get(mac) ?? node, mac).to.equal(node);
      owners.set(mac, node);
    }
    expect(published().map(({ node }) => node)).not.to.include.members(["c"]);
    const childEpoch = published().at(-1)?.epoch ?? 0;
    expect(running.leader()?.epoch).to.be.greaterThan(childEpoch);
  });
});

async function collect(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
}
