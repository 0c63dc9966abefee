import { expect } from "chai";
import type { Family } from "../../lib/address.ts";
import { skipBecause } from "./needs-root.ts";
import type { VipWorld } from "./vip-behaviour.ts";
import { ADDRESS, BACKEND_PORT, setBridgedFirewall } from "./vip-network.ts";
import type { Peer } from "./vip-peers.ts";
import { service } from "./vip-services.ts";

const VIP = { 4: "11.0.0.1", 6: "fd11::1" } as const;
const NAME = { 4: "11.0.0.1", 6: "[fd11::1]" } as const;

/** Cases about who reaches what through a virtual IP. */
export function reachCases(current: () => VipWorld): void {
  for (const family of [4, 6] as const) {
    const address = VIP[family];
    const { far } = ADDRESS[family];
    const name = (protocol: "tcp" | "udp", port = 80) => `${protocol} ${NAME[family]}:${port}`;

    it(`the node and its containers reach a backend elsewhere over TCP and UDP (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name("tcp"), [far[0]]), service(name("udp"), [far[1]]));
      for (const peer of [peers.node, peers.client, peers.job]) {
        expect(await peer.ask({ address, port: 80 }, 5)).to.deep.equal({ [far[0]]: 5 });
        expect(await peer.askUdp({ address, port: 80 })).to.match(new RegExp(`^${far[1]} hello `));
      }
    });

    it(`a container reaches itself, its neighbour and its node through a virtual IP (IPv${family})`, () =>
      allReachAll(current(), family));

    it(`so it does where the bridge calls iptables, as Docker has it (IPv${family})`, async function () {
      const { network } = current();
      if (!setBridgedFirewall(network.node, true)) skipBecause(this, "this kernel has no br_netfilter");
      try {
        await allReachAll(current(), family);
      } finally {
        setBridgedFirewall(network.node, false);
      }
    });

    it(`a backend elsewhere sees the address of the container, and of the node, that connects (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name("tcp"), [far[0]]));
      const seen = async (peer: Peer) => (await peer.greeting({ address, port: 80 })).split(" ")[1];
      expect(await seen(peers.client)).to.equal(ADDRESS[family].client);
      expect(await seen(peers.node)).to.equal(ADDRESS[family].gateway);
    });

    it(`long lines pass in both directions (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name("tcp"), [far[2]]));
      const connection = await peers.client.open("tcp", { address, port: 80 });
      const text = "x".repeat(200_000);
      expect(await connection.say(text, 10_000)).to.equal(`${far[2]} ${text}`);
      await connection.close();
    });

    it(`a removed service is refused at once, another on its address stays (IPv${family})`, async () => {
      const { peers, want } = current();
      const kept = service(name("tcp", 443), [far[1]]);
      want(service(name("tcp"), [far[0]]), service(name("udp"), [far[0]]), kept);
      want(kept);
      await refused(peers, address);
      expect(await peers.client.ask({ address, port: 443 }, 3)).to.deep.equal({ [far[1]]: 3 });
      want();
      await refused(peers, address);
      await refused(peers, address, 443);
    });

    it(`a service without backends, or with none that takes connections, refuses them (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name("tcp"), []), service(name("tcp", 81), [[far[0], 0]]));
      await refused(peers, address);
      await refused(peers, address, 81);
      want(service(name("tcp"), [far[0]]), service(name("tcp", 81), [far[0]]));
      for (const port of [80, 81]) {
        expect(await peers.client.ask({ address, port }, 3)).to.deep.equal({ [far[0]]: 3 });
        expect(await peers.node.ask({ address, port }, 3)).to.deep.equal({ [far[0]]: 3 });
      }
    });

    it(`TCP and UDP of one port are services of their own (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name("udp"), [far[0]]));
      await refused(peers, address);
      expect(await peers.client.askUdp({ address, port: 80 })).to.match(new RegExp(`^${far[0]} hello `));
    });
  }

  it("many ports of one address lead to backends of their own", async () => {
    const { peers, want } = current();
    const { far, job } = ADDRESS[4];
    const targets = [...far, job];
    const ports = Array.from({ length: 60 }, (_, index) => 1000 + index);
    want(...ports.map((port) => service(`tcp 11.0.0.1:${port}`, [targets[port % 4] ?? ""])));
    for (const port of ports) {
      expect(await peers.client.ask({ address: "11.0.0.1", port }, 1)).to.deep.equal({ [targets[port % 4] ?? ""]: 1 });
    }
  });

  it("one backend serves two virtual IPs, and leaves one of them without harm to the other", async () => {
    const { peers, want } = current();
    const { far } = ADDRESS[4];
    const first = service("tcp 11.0.0.1:80", [far[0]]);
    want(first, service("tcp 11.0.0.2:80", [far[0], far[1]]));
    const connection = await peers.client.open("tcp", { address: "11.0.0.1", port: 80 });
    want(first, service("tcp 11.0.0.2:80", [far[1]]));
    expect(await connection.say("still")).to.equal(`${far[0]} still`);
    await connection.close();
    expect(await peers.client.ask({ address: "11.0.0.2", port: 80 }, 10)).to.deep.equal({ [far[1]]: 10 });
    expect(await peers.client.ask({ address: "11.0.0.1", port: 80 }, 10)).to.deep.equal({ [far[0]]: 10 });
  });

  it("what isn't for a virtual IP passes as before", async () => {
    const { peers, want } = current();
    const { far, job } = ADDRESS[4];
    want(service(`tcp 11.0.0.1:${BACKEND_PORT}`, [far[0]]));
    for (const address of [far[1], job]) {
      const where = { address, port: BACKEND_PORT };
      expect(await peers.client.ask(where, 3)).to.deep.equal({ [address]: 3 });
      expect(await peers.node.ask(where, 3)).to.deep.equal({ [address]: 3 });
      expect(await peers.client.askUdp(where)).to.match(new RegExp(`^${address} hello `));
    }
  });
}

/** Expects that both containers and the node reach each of them, themselves too, over TCP and UDP. */
async function allReachAll({ peers, want }: VipWorld, family: Family): Promise<void> {
  const { client, job, node } = ADDRESS[family];
  const ports = new Map([client, job, node].map((target, index) => [81 + index, target]));
  const names = (port: number) => (["tcp", "udp"] as const).map((protocol) => `${protocol} ${NAME[family]}:${port}`);
  want(...[...ports].flatMap(([port, target]) => names(port).map((name) => service(name, [target]))));
  for (const [from, peer] of Object.entries({ client: peers.client, job: peers.job, node: peers.node })) {
    for (const [port, target] of ports) {
      const where = { address: VIP[family], port };
      expect(await peer.ask(where, 5), `${from} to ${target}`).to.deep.equal({ [target]: 5 });
      expect(await peer.askUdp(where), `${from} to ${target}`).to.match(new RegExp(`^${target} hello `));
    }
  }
}

/** Expects that a connection is refused, from the node and from a container, and not after waiting for an answer in
 *  vain. An address that no service has any more is the network's own affair: a router that knows no way says so,
 *  though not each time (icmp_ratelimit), and the client asks again after a second. */
async function refused(peers: VipWorld["peers"], address: string, port = 80): Promise<void> {
  const outcome = async (peer: Peer) => Object.keys(await peer.ask({ address, port, timeoutMs: 10_000 }, 1))[0];
  for (const peer of [peers.node, peers.client]) {
    expect(await outcome(peer), `${address} ${port}`).to.be.oneOf(["refused", "unreachable", "closed"]);
  }
}
