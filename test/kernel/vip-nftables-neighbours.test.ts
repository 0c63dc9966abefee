import { expect } from "chai";
import { additionCommands } from "../../cni/firewall-commands.ts";
import { HOST_PORTS, hostPortsEntries } from "../../cni/portmap-rules.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { parsePrefix } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Overlay } from "../../overlay/cluster.ts";
import { isolationCommands } from "../../overlay/isolation.ts";
import { needsRoot } from "../support/needs-root.ts";
import { ADDRESS, BACKEND_PORT, openVipNetwork, type VipNetwork } from "../support/vip-network.ts";
import { type Peer, startPeer } from "../support/vip-peers.ts";
import { service } from "../support/vip-services.ts";

const { node, client, far } = ADDRESS[4];
const [FAR] = far;

describe("virtual IPs on nftables beside other tables of ours", function () {
  this.timeout(60_000);
  let network: VipNetwork;
  const peers: Peer[] = [];
  const start = async (place: "node" | "client" | "far" | "job"): Promise<Peer> => {
    const peer = await startPeer(network[place]);
    peers.push(peer);
    return peer;
  };
  const want = (...services: readonly Service[]): void => {
    const plane = openNftablesDataplane(network.node, systemClock);
    plane.prepare();
    for (const error of plane.apply(planServices(plane.read(), services))) if (error !== undefined) throw error;
    plane.close();
  };

  before(needsRoot);
  beforeEach(() => {
    network = openVipNetwork();
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.stop();
    network.close();
  });

  it("a host port takes nothing from a virtual IP with the same port, nor that from it", async () => {
    const [web, job, elsewhere] = [await start("client"), await start("job"), await start("far")];
    await web.serve({ protocol: "tcp", address: client, port: 80 });
    await elsewhere.serve({ protocol: "tcp", address: FAR, port: BACKEND_PORT });
    const entries = hostPortsEntries({
      owner: { network: "dcos", containerId: "web-1", ifname: "eth0" },
      addresses: [parsePrefix(`${client}/24`)],
      mappings: [{ protocol: "tcp", hostPort: 80, containerPort: 80 }],
      snat: true,
      masqAll: false,
      conditions: { 4: undefined, 6: undefined },
      excludeDevices: [],
    });
    network.node.nftables.run(entries.flatMap((entry) => additionCommands(entry, undefined)));
    expect(network.node.nftables.chains("ip", HOST_PORTS[4].name)).to.include("prerouting");
    want(service("tcp 11.0.0.1:80", [FAR]));
    for (const peer of [job, await start("node")]) {
      expect(await peer.ask({ address: "11.0.0.1", port: 80 }, 3)).to.deep.equal({ [FAR]: 3 });
      expect(await peer.ask({ address: node, port: 80 }, 3)).to.deep.equal({ [client]: 3 });
    }
  });

  it("an isolated container reaches virtual IPs, and what is refused there is refused at once", async () => {
    const [isolated, elsewhere] = [await start("client"), await start("far")];
    await elsewhere.serve({ protocol: "tcp", address: FAR, port: BACKEND_PORT });
    network.node.apply([{ do: "link.set", dev: "br0", set: { up: false } }]);
    network.node.apply([{ do: "link.set", dev: "br0", set: { name: "m-shut" } }]);
    network.node.apply([{ do: "link.set", dev: "m-shut", set: { up: true } }]);
    const v4 = { subnet: parsePrefix("10.77.0.0/16"), nodeLength: 24 };
    const overlay: Overlay = { name: "shut", enabled: true, isolated: true, v4, v6: undefined };
    network.node.nftables.run(isolationCommands([overlay]));
    want(service("tcp 11.0.0.1:80", [FAR]));
    expect(await isolated.ask({ address: FAR, port: BACKEND_PORT }, 1), "directly").to.not.have.property(FAR);
    expect(await isolated.ask({ address: "11.0.0.1", port: 80 }, 3)).to.deep.equal({ [FAR]: 3 });
    const [refusal] = Object.keys(await isolated.ask({ address: "11.0.0.1", port: 81 }, 1));
    expect(refusal).to.be.oneOf(["refused", "unreachable"]);
  });

  it("a socket of the node on all addresses doesn't answer for a virtual IP", async () => {
    const [web, host, elsewhere] = [await start("client"), await start("node"), await start("far")];
    await host.serve({ protocol: "tcp", address: "0.0.0.0", port: 81 });
    await elsewhere.serve({ protocol: "tcp", address: FAR, port: BACKEND_PORT });
    want(service("tcp 11.0.0.1:80", [FAR]));
    for (const peer of [web, host]) {
      expect(await peer.ask({ address: "11.0.0.1", port: 81 }, 1)).to.deep.equal({ refused: 1 });
      expect(await peer.ask({ address: node, port: 81 }, 1)).to.deep.equal({ [node]: 1 });
    }
  });
});
