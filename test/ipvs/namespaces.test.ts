import { release } from "node:os";
import { expect } from "chai";
import { l4lbPlugin } from "../../cni/l4lb.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { openLinux } from "../../kernel/linux.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { callPlugin } from "../support/cni-host.ts";
import { Namespaces } from "../support/namespaces.ts";
import { ADDRESS, BACKEND_PORT, openVipNetwork, type VipNetwork } from "../support/vip-network.ts";
import { type Peer, startPeer } from "../support/vip-peers.ts";
import { service } from "../support/vip-services.ts";

const DIRECTORY = "/run/dcos-l4lb";

/** The container `client` of the behaviour suite's network, whose node doesn't know any virtual IP. */
describe("a container that carries virtual IPs itself", function () {
  this.timeout(60_000);
  const undo: (() => unknown)[] = [];
  const machine = openLinux();
  let network: VipNetwork;
  let plane: Dataplane;
  let client: Peer;
  let far: Peer;

  const call = (verb: "ADD" | "DEL") =>
    callPlugin(
      l4lbPlugin(() => undefined),
      {
        kernel: machine,
        files: linuxFiles,
        env: { CNI_COMMAND: verb, CNI_CONTAINERID: "client", CNI_NETNS: network.clientPath },
        stdin: {
          name: "isolated",
          cniVersion: "1.0.0",
          minuteman: { path: DIRECTORY },
          prevResult: { cniVersion: "1.0.0", ips: [{ address: "10.77.0.5/24" }] },
        },
      },
    );
  const want = (...services: Service[]) => {
    const changes = planServices(plane.read(), services);
    expect(plane.apply(changes)).to.deep.equal(changes.map(() => undefined));
  };

  /** Connections to `tcp 11.0.0.1:80`, once there are so many: the kernel adds them up every two seconds. */
  const balanced = async (wanted: number): Promise<number> => {
    for (let left = 50; ; left--) {
      const web = plane.counters().find(({ key }) => key.port === 80 && key.ip.family === 4);
      const sum = web?.backends.reduce((before, { total = 0 }) => before + total, 0) ?? 0;
      if (sum >= wanted || left === 0) return sum;
      await Bun.sleep(100);
    }
  };

  before(async () => {
    network = openVipNetwork();
    undo.push(network.close);
    const { kernel } = openElsewhere();
    plane = openIpvsDataplane(kernel, {
      release: release(),
      random: Math.random,
      namespaces: { files: linuxFiles, directory: DIRECTORY },
    });
    undo.push(() => plane.close());
    client = await startPeer(network.client);
    far = await startPeer(network.far);
    undo.push(client.stop, far.stop);
    for (const address of [...ADDRESS[4].far, ...ADDRESS[6].far]) {
      await far.serve({ protocol: "tcp", address, port: BACKEND_PORT });
      await far.serve({ protocol: "udp", address, port: BACKEND_PORT });
    }
    await client.serve({ protocol: "tcp", address: ADDRESS[4].client, port: BACKEND_PORT });
  });
  after(async () => {
    for (const step of undo.reverse()) await step();
    machine.close();
  });

  /** A namespace without any link to the container's. */
  function openElsewhere() {
    const namespaces = new Namespaces(machine, "/run/netns");
    undo.push(() => namespaces.close());
    const { kernel } = namespaces.open("elsewhere");
    kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
    return { kernel };
  }

  it("reaches them over both families and protocols, itself included, after ADD, and no more after DEL", async () => {
    expect(call("ADD")).to.include({ exitCode: 0 });
    plane.prepare();
    const [first, second] = ADDRESS[4].far;
    want(
      service("tcp 11.0.0.1:80", [first, second]),
      service("udp 11.0.0.1:53", [first]),
      service("tcp 11.0.0.1:81", [ADDRESS[4].client]),
      service("tcp [fd11::1]:80", [ADDRESS[6].far[0]]),
    );
    expect(await client.ask({ address: "11.0.0.1", port: 80 }, 10)).to.deep.equal({ [first]: 5, [second]: 5 });
    expect(await client.ask({ address: "fd11::1", port: 80 }, 3)).to.deep.equal({ [ADDRESS[6].far[0]]: 3 });
    expect(await client.askUdp({ address: "11.0.0.1", port: 53 })).to.match(new RegExp(`^${first} hello `));
    expect(await client.ask({ address: "11.0.0.1", port: 81 }, 3)).to.deep.equal({ [ADDRESS[4].client]: 3 });

    // The backend sees the container's own address.
    expect(await client.greeting({ address: "11.0.0.1", port: 80 })).to.include(` ${ADDRESS[4].client} `);
    expect(await balanced(11)).to.equal(11);

    want(service("tcp 11.0.0.1:80", [second]));
    expect(await client.ask({ address: "11.0.0.1", port: 80 }, 4)).to.deep.equal({ [second]: 4 });

    expect(call("DEL")).to.include({ exitCode: 0 });
    plane.prepare();
    expect(network.client.link("minuteman")).to.equal(undefined);
    expect(await client.ask({ address: "11.0.0.1", port: 80, timeoutMs: 500 }, 1)).to.not.have.property(second);
  });
});
