import type { NodeBody } from "../../facts/fact.ts";
import { Publisher, type Statement } from "../../facts/publisher.ts";
import { keyOfTask } from "../../facts/task.ts";
import type { KeyRing } from "../../gossip/key.ts";
import type { Packet, Via } from "../../gossip/message.ts";
import { startTransport, type Transport } from "../../gossip/transport.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { assignmentOf } from "../../overlay/leader/assignment.ts";
import { assignmentBody } from "../../overlay/leader/fact-body.ts";
import { DEFAULT_NETWORK, parseOverlayNetwork } from "../../overlay/leader/network.ts";
import { register } from "../../overlay/leader/register.ts";
import { draftOf, registryOf } from "../../overlay/leader/registry.ts";
import { defaultWish } from "../../overlay/leader/types.ts";
import { type Host, World } from "../sim/world.ts";
import { sampleTask } from "../support/facts.ts";

const LIMIT_MS = 120_000;
/** Time between two looks at how much time has passed, milliseconds. */
const STEP_MS = 5;
/** Far away, but within what a timer can take, milliseconds. */
const NEVER_MS = 1e9;
const EPOCH = 1;
const TUNNEL = { vni: 1024, port: 64_000 };

/** A node of the cluster that isn't simulated. */
export interface Guest {
  readonly id: string;
  /** On the underlay. */
  readonly address: string;
}

/** A cluster of simulated nodes in this process, each with its own address, socket and facts, that talks to real nodes
 *  outside in real time. Among themselves the nodes hand packets over in memory. */
export class SimulatedCluster {
  readonly #world: World;
  readonly #transports = new Map<Host, Transport>();

  private constructor() {
    this.#world = new World({ seed: 1, outside: (from, outgoing) => this.#transports.get(from)?.send([outgoing]) });
  }

  /** Brings up so many nodes with so many tasks each, and lets virtual time pass until all know all. The first one is a
   *  master, and has given a part of the overlay to each, the guest included. */
  static async start(nodes: number, tasks: number, guest: Guest, keys: KeyRing, log: Log): Promise<SimulatedCluster> {
    const cluster = new SimulatedCluster();
    cluster.#form(nodes, tasks, guest);
    for (const host of cluster.#world.hosts) await cluster.#connect(host, keys, log);
    cluster.#keepTime();
    return cluster;
  }

  /** Where nodes join: `10.0.0.1:62501`. */
  get seeds(): string[] {
    return this.#world.hosts.slice(1, 4).map(({ address }) => address);
  }

  /** How many of the nodes hold the same as the first one and count so many members as present. */
  agreeing(present: number): number {
    const root = this.#world.hosts[0]?.node?.summary.root();
    const agrees = ({ node }: Host): boolean =>
      root !== undefined && node?.members.present === present && node.summary.isEqual(root);
    return this.#world.hosts.filter(agrees).length;
  }

  #form(nodes: number, tasks: number, guest: Guest): void {
    const world = this.#world;
    for (let count = 0; count < nodes; count++) world.addHost();
    for (const host of world.hosts) world.start(host, world.hosts.slice(0, 3));
    const assignments = assignmentsFor([...world.hosts.map(guestOf), guest]);
    for (const host of world.hosts) {
      const isMaster = host.index === 0;
      publish(world, host, [
        ...Array.from({ length: tasks }, (_, index) => taskOf(host, index)),
        ...(isMaster
          ? assignments
          : [{ kind: "status", key: "dcos", body: { overlay: "dcos", state: "ok" } } as const]),
        { kind: "node", key: host.name, body: nodeBody(host, isMaster) },
      ]);
    }
    if (world.runUntil(() => this.agreeing(nodes) === nodes, LIMIT_MS, 100) === undefined) {
      throw new Error(`${nodes} simulated nodes did not find each other`);
    }
  }

  async #connect(host: Host, keys: KeyRing, log: Log): Promise<void> {
    const node = {
      receive: (via: Via, from: string, packet: Packet) => {
        this.#world.arrive(host, via, from, packet);
        return [];
      },
      // The world keeps the nodes' time, and asks them to speak.
      tick: () => [],
      leave: () => [],
      nextWake: () => systemClock.monotonic() + NEVER_MS,
    };
    const randomBytes = (count: number): Uint8Array => crypto.getRandomValues(new Uint8Array(count));
    const options = { node, listen: host.address, keys, clock: systemClock, log, randomBytes };
    this.#transports.set(host, await startTransport(options));
  }

  #keepTime(): void {
    const offset = systemClock.monotonic() - this.#world.now;
    setInterval(() => this.#world.run(Math.floor(systemClock.monotonic() - offset - this.#world.now)), STEP_MS);
  }
}

function guestOf({ name, address }: Host): Guest {
  return { id: name, address: address.replace(/:\d+$/, "") };
}

function publish(world: World, host: Host, statements: readonly Statement[]): void {
  const publisher = new Publisher({
    owner: host.name,
    now: () => Date.now(),
    write: (values) => world.write(host, values),
  });
  for (const statement of statements) publisher.put(statement);
  publisher.flush();
}

/** What a leader gives to these nodes. */
function assignmentsFor(nodes: readonly Guest[]): Statement[] {
  const network = parseOverlayNetwork(DEFAULT_NETWORK);
  const draft = draftOf(registryOf(network, []));
  for (const { id, address } of nodes) {
    const node = { id, address: parseIp(address), address6: undefined, wish: defaultWish("agent") };
    register(draft, node, () => undefined);
  }
  return nodes.flatMap(({ id }): Statement[] => {
    const body = assignmentBody(assignmentOf(id, draft.records.get(id), [], network, EPOCH), network, TUNNEL);
    return body === undefined ? [] : [{ kind: "assignment", key: id, body }];
  });
}

function nodeBody(host: Host, isMaster: boolean): NodeBody {
  return {
    name: `${host.name}.example`,
    role: isMaster ? "master" : "agent",
    addresses: [guestOf(host).address],
    wish: defaultWish("agent"),
    versions: { "dcos-net": "0.1.0", linux: "6.1.0" },
    speaks: { agents: [host.name], ...(isMaster ? { overlayEpoch: EPOCH } : {}) },
  };
}

function taskOf(host: Host, index: number): Statement {
  const { address } = guestOf(host);
  const body = sampleTask({
    id: `app-${index}.${host.name}`,
    name: `app-${index}`,
    agent: { id: host.name, addresses: [address] },
    addresses: [{ address: `9.${host.index >> 8}.${host.index & 255}.${index + 2}`, network: "dcos" }],
  });
  return { kind: "task", key: keyOfTask(body), body };
}
