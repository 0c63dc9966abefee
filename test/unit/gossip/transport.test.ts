import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { deriveClusterKey, type KeyRing } from "../../../gossip/key.ts";
import { GossipNode } from "../../../gossip/node.ts";
import { startTransport, type Transport } from "../../../gossip/transport.ts";
import { systemClock } from "../../../lib/clock.ts";
import { type Fields, jsonLog } from "../../../lib/log.ts";

interface Running {
  readonly node: GossipNode;
  readonly transport: Transport;
  readonly address: string;
  readonly logged: Fields[];
}

const SECRET = Buffer.from("a secret of sixteen");
const LIMIT_MS = 20_000;

/** A port that is free on loopback now. */
function freeAddress(): string {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return `127.0.0.1:${port}`;
}

async function start(name: string, seeds: readonly string[], keys: KeyRing, address = freeAddress()): Promise<Running> {
  const logged: Fields[] = [];
  const options = { name, address, seeds, clock: systemClock, random: Math.random, emit: () => {} };
  const node = new GossipNode(options);
  const log = jsonLog(
    "gossip",
    "warn",
    () => new Date(),
    (line) => logged.push(JSON.parse(line)),
  );
  const transport = await startTransport({ node, listen: address, keys, clock: systemClock, log, randomBytes });
  return { node, transport, address, logged };
}

async function until(isDone: () => boolean): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while (!isDone() && performance.now() < end) await Bun.sleep(10);
  expect(isDone(), "within the time").to.equal(true);
}

describe("the transport", function () {
  this.timeout(3 * LIMIT_MS);
  const running: Running[] = [];
  const keys = { primary: deriveClusterKey(SECRET, "one"), others: [] };

  async function startKept(...args: Parameters<typeof start>): Promise<Running> {
    const started = await start(...args);
    running.push(started);
    return started;
  }

  afterEach(() => {
    for (const { transport } of running.splice(0)) transport.stop(false);
  });

  it("carries members, small facts, large facts and goodbyes over real sockets", async () => {
    const first = await startKept("a", [], keys);
    const second = await startKept("b", [first.address], keys);
    const third = await startKept("c", [first.address], keys);
    await until(() => running.every(({ node }) => node.members.present === 3));
    const large = randomBytes(50_000);
    const facts = [...Array(300).keys()].map((index) => ({ key: `k${index}`, value: randomBytes(1000) }));
    second.transport.send(second.node.write([{ key: "small", value: Uint8Array.of(1) }]));
    second.transport.send(second.node.write([{ key: "large", value: large }, ...facts]));
    await until(() => third.node.replica.facts("b").length === 302 && first.node.replica.facts("b").length === 302);
    expect(Buffer.compare(third.node.replica.get("b", "large") ?? new Uint8Array(0), large)).to.equal(0);
    second.transport.stop(true);
    await until(() => third.node.members.get("b")?.state === "left");
  });

  it("neither lets in nor answers a node of another cluster, and logs it once with its address", async () => {
    const first = await startKept("a", [], keys);
    const foreign = { primary: deriveClusterKey(SECRET, undefined), others: [] };
    const stranger = await startKept("stranger", [first.address], foreign);
    await until(() => first.transport.counts().foreign >= 3);
    expect(first.node.members.present).to.equal(1);
    expect(stranger.node.members.present).to.equal(1);
    expect(first.logged).to.have.length(1);
    expect(String(first.logged[0]?.["address"])).to.contain("127.0.0.1");
    expect(String(first.logged[0]?.["said"])).to.contain(foreign.primary.fingerprint.toHex());
  });

  it("refuses a port that is taken, with the reason", async () => {
    const first = await startKept("a", [], keys);
    let said = "";
    try {
      await startKept("b", [], keys, first.address);
    } catch (error) {
      said = String(error);
    }
    expect(said).to.contain(`cannot listen on ${first.address}, UDP and TCP`);
  });
});
