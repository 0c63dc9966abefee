import { release } from "node:os";
import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { synRetransmits } from "../support/syn-retransmits.ts";
import { masqueradeByIptables } from "../support/uml-masquerade.ts";
import { ADDRESS, BACKEND_PORT, openVipNetwork, type VipNetwork } from "../support/vip-network.ts";
import { type Peer, startPeer } from "../support/vip-peers.ts";
import { service } from "../support/vip-services.ts";

/** Of each of two clients: enough for all of their ports. A backend remembers for a minute what it has closed. */
const SHARED_CONNECTIONS = 50;
/** Milliseconds until IPVS has surely cleared up behind a removed backend. */
const EXPIRY_MS = 200;
/** Each port comes back some sixty times, while IPVS remembers a closed connection for two minutes. */
const PORTS = "40000 40049";

describe("clients of IPVS that open connections without pause", function () {
  this.timeout(300_000);
  const undo: (() => unknown)[] = [];
  let network: VipNetwork;
  let plane: Dataplane;
  let client: Peer;
  let host: Peer;

  before(async () => {
    network = openVipNetwork();
    undo.push(network.close);
    plane = openIpvsDataplane(network.node, { release: release(), random: Math.random });
    undo.push(() => plane.close());
    plane.prepare();
    masqueradeByIptables(network.node);
    const far = await startPeer(network.far);
    undo.push(far.stop);
    await far.serve({ protocol: "tcp", address: ADDRESS[4].far[0], port: BACKEND_PORT });
    for (const each of [network.client, network.node]) {
      each.setSysctl("net/ipv4/ip_local_port_range", PORTS.replace(" ", "\t"));
    }
    client = await startPeer(network.client);
    undo.push(client.stop);
    host = await startPeer(network.node);
    undo.push(host.stop);
  });
  after(async () => {
    for (const step of undo.reverse()) await step();
  });

  it("a container and its node have the same ports at one backend, and neither has to begin again", async () => {
    const [backend] = ADDRESS[4].far;
    const [empty, whole] = [service("tcp 11.0.0.2:80", []), service("tcp 11.0.0.2:80", [backend])];
    const spaces = [network.client, network.node];
    const retransmits = (kernel: Kernel) => kernel.enter(synRetransmits);
    const before = spaces.map(retransmits);
    plane.apply([{ do: "put", service: empty, before: undefined }]);
    // The timestamps of one of the two are behind those of the other, hence both orders.
    for (const peer of [client, host, client]) {
      plane.apply([{ do: "put", service: whole, before: empty }]);
      const heard = await peer.ask({ address: "11.0.0.2", port: 80 }, SHARED_CONNECTIONS);
      expect(heard).to.deep.equal({ [backend]: SHARED_CONNECTIONS });
      // With its backend the node forgets the connections, and which ports they had, but the backend doesn't.
      plane.apply([{ do: "put", service: empty, before: whole }]);
      await Bun.sleep(EXPIRY_MS);
    }
    expect(spaces.map(retransmits)).to.deep.equal(before);
  });
});
