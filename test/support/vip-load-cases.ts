import { expect } from "chai";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { connectAlways, type Load, sendAlways } from "./vip-always.ts";
import type { VipWorld } from "./vip-behaviour.ts";
import { ADDRESS, BACKEND_PORT } from "./vip-network.ts";
import { service } from "./vip-services.ts";

const [FIRST, SECOND, THIRD] = ADDRESS[4].far;
const ROUNDS = 3;
/** Backends that go in a round. */
const REMOVALS = 2;
/** Milliseconds for which each state lasts. */
const STATE_MS = 250;

const TCP = "tcp 11.0.0.1:80";
const UDP = "udp 11.0.0.1:53";

type Backends = Parameters<typeof service>[1];

const both = (backends: Backends): Service[] => [service(TCP, backends), service(UDP, backends)];
const crowd = Array.from({ length: 300 }, (_, index) => service(`tcp 11.0.1.1:${index + 1}`, [SECOND]));

/** Cases about a data plane that is changed all the time while it is used. */
export function loadCases(current: () => VipWorld): void {
  it("nothing fails while backends come, drain, go and end, and the data plane is taken over and filled", async () => {
    const world = current();
    const { peers, want } = world;
    want(...both([FIRST, SECOND]));
    const loads = [
      connectAlways(peers.client, { address: "11.0.0.1", port: 80 }),
      connectAlways(peers.node, { address: "11.0.0.1", port: 80 }),
      await sendAlways(peers.client, { address: "11.0.0.1", port: 53, localPort: 5399 }),
      await sendAlways(peers.node, { address: "11.0.0.1", port: 53, localPort: 5398 }),
    ];
    try {
      for (let round = 0; round < ROUNDS; round++) await oneRound(world);
    } finally {
      await Promise.all(loads.map((load) => load.stop()));
    }
    const [tcp, udp] = [loads.slice(0, 2), loads.slice(2)];
    for (const { heard } of tcp) expect(heard, summary(loads)).to.have.all.keys(FIRST, SECOND, THIRD);
    for (const { heard } of udp) {
      // What is on its way when its backend goes may be lost.
      expect(unanswered(heard), summary(loads)).to.be.at.most(REMOVALS * ROUNDS);
    }
  });
}

/** How often something else came than an answer of a backend. */
function unanswered(heard: Load["heard"]): number {
  const others = Object.entries(heard).filter(([answer]) => ![FIRST, SECOND, THIRD].some((each) => each === answer));
  return others.reduce((sum, [, count]) => sum + count, 0);
}

function summary(loads: readonly Load[]): string {
  return JSON.stringify(loads.map(({ heard }) => heard));
}

async function oneRound(world: VipWorld): Promise<void> {
  const { peers, want } = world;
  const old = await peers.client.open("tcp", { address: "11.0.0.1", port: 80 });
  const [own = ""] = old.greeting.split(" ");
  const state = async (...services: readonly Service[]) => {
    want(...services);
    await Bun.sleep(STATE_MS);
  };
  await state(...both([FIRST, SECOND, THIRD]));
  await state(...both([[FIRST, 0], SECOND, THIRD]));
  expect(await old.say("drained")).to.equal(`${own} drained`);
  await state(...both([SECOND, THIRD]));
  await endFirst(peers);
  await state(...both([SECOND, THIRD]), ...crowd);
  takeOver(world, both([SECOND, THIRD]));
  await Bun.sleep(STATE_MS);
  for (const protocol of ["tcp", "udp"] as const) {
    await peers.far.serve({ protocol, address: FIRST, port: BACKEND_PORT });
  }
  await state(...both([FIRST, SECOND, [THIRD, 0]]));
  await state(...both([FIRST, SECOND]));
  await old.close();
}

/** Ends the servers of the first backend, which has left by now and gets nothing any more. */
async function endFirst({ far }: VipWorld["peers"]): Promise<void> {
  for (const protocol of ["tcp", "udp"] as const) {
    const port = { protocol, address: FIRST, port: BACKEND_PORT };
    const before = await far.count(port);
    await Bun.sleep(STATE_MS);
    expect(await far.count(port), `${protocol} to a removed backend`).to.equal(before);
    await far.end(port);
  }
}

/** What an agent does after its restart: a new object, everything read, and what differs made. */
function takeOver({ harness, network, cgroup }: VipWorld, wanted: readonly Service[]): void {
  const heir = harness.open(network.node, cgroup);
  try {
    heir.prepare();
    const changes = planServices(heir.read(), wanted);
    expect(heir.apply(changes)).to.deep.equal(changes.map(() => undefined));
  } finally {
    heir.close();
  }
}
