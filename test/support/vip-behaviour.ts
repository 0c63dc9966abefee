import { expect } from "chai";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { balanceCases } from "./vip-balance.ts";
import { drainCases } from "./vip-drain.ts";
import type { VipHarness } from "./vip-harness.ts";
import { largeCases } from "./vip-large-cases.ts";
import { loadCases } from "./vip-load-cases.ts";
import { ADDRESS, BACKEND_PORT, openVipNetwork, type VipNetwork } from "./vip-network.ts";
import { type Peer, startPeer } from "./vip-peers.ts";
import { reachCases } from "./vip-reach.ts";
import { reuseCases } from "./vip-reuse-cases.ts";
import { sorted } from "./vip-services.ts";
import { stateCases } from "./vip-state.ts";

/** A node with a data plane, and programs to try it with. */
export interface VipWorld {
  readonly network: VipNetwork;
  readonly harness: VipHarness;
  readonly cgroup: string | undefined;
  readonly plane: Dataplane;
  /** One program in each namespace. On port 8080, TCP and UDP, all backends answer with their own address. */
  readonly peers: { readonly node: Peer; readonly client: Peer; readonly job: Peer; readonly far: Peer };
  /** Makes these the node's services: reads, plans, applies, and expects that nothing is refused. */
  want(...services: readonly Service[]): void;
}

/** Declares the tests that every data plane passes: real sockets in real namespaces. */
export function vipBehaviour(harness: VipHarness): void {
  describe(`virtual IPs on ${harness.name}`, function () {
    this.timeout(120_000);
    let world: VipWorld | undefined;
    let close = async (): Promise<void> => undefined;
    const current = (): VipWorld => {
      if (world === undefined) throw new Error("the network isn't up");
      return world;
    };

    before(async function () {
      const reason = harness.unavailable();
      if (reason !== undefined) {
        console.log(`      skipped: ${reason}`);
        this.skip();
      }
      const undo: (() => void | Promise<void>)[] = [];
      close = async () => {
        for (const step of undo.splice(0).reverse()) await step();
      };
      world = await openWorld(harness, undo);
    });
    beforeEach(() => {
      current().plane.prepare();
      current().want();
    });
    after(() => close());

    reachCases(current);
    balanceCases(current);
    drainCases(current);
    stateCases(current);
    loadCases(current);
    reuseCases(current, harness);
    largeCases(current, harness);
  });
}

/** The network, the data plane and the programs. `undo` grows with each step, so that what was made before a failure is
 *  taken away too. */
async function openWorld(harness: VipHarness, undo: (() => void | Promise<void>)[]): Promise<VipWorld> {
  const network = openVipNetwork();
  undo.push(network.close);
  const cgroup = harness.openCgroup?.();
  if (cgroup !== undefined) undo.push(cgroup.close);
  const plane = harness.open(network.node, cgroup?.path);
  undo.push(() => {
    plane.remove();
    plane.close();
  });
  const start = async (place: "node" | "client" | "job" | "far"): Promise<Peer> => {
    const peer = await startPeer(network[place], cgroup?.path);
    undo.push(() => peer.stop());
    return peer;
  };
  const [node, client, job, far] = await Promise.all([start("node"), start("client"), start("job"), start("far")]);
  for (const family of [4, 6] as const) {
    const own = ADDRESS[family];
    await serveAll(node, [own.node]);
    await serveAll(client, [own.client]);
    await serveAll(job, [own.job]);
    await serveAll(far, own.far);
  }
  const want = (...services: readonly Service[]): void => {
    const changes = planServices(plane.read(), services);
    expect(plane.apply(changes)).to.deep.equal(changes.map(() => undefined));
    expect(sorted(plane.read())).to.deep.equal(sorted(services));
  };
  return { network, harness, cgroup: cgroup?.path, plane, peers: { node, client, job, far }, want };
}

async function serveAll(peer: Peer, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    await peer.serve({ protocol: "tcp", address, port: BACKEND_PORT });
    await peer.serve({ protocol: "udp", address, port: BACKEND_PORT });
  }
}
