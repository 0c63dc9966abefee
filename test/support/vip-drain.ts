import { expect } from "chai";
import type { VipWorld } from "./vip-behaviour.ts";
import { ADDRESS, BACKEND_PORT } from "./vip-network.ts";
import type { PeerConnection } from "./vip-peers.ts";
import { service } from "./vip-services.ts";

/** Ports of clients that nothing else uses, so that no backend remembers an earlier connection from one: it would
 *  answer a segment of a connection that was led to it with an acknowledgement, and the connection would not end. */
const UNUSED_PORT = 20_000;

/** Cases about what becomes of connections when backends change. */
export function drainCases(current: () => VipWorld): void {
  for (const family of [4, 6] as const) {
    const address = family === 4 ? "11.0.0.1" : "fd11::1";
    const host = family === 4 ? address : `[${address}]`;
    const name = `tcp ${host}:80`;
    const [first, second, third] = ADDRESS[family].far;
    const where = { address, port: 80 };

    it(`a backend of weight 0 keeps its connections and gets no new ones (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name, [first]));
      const connections = [await peers.client.open("tcp", where), await peers.node.open("tcp", where)];
      want(service(name, [[first, 0], second]));
      for (const peer of [peers.client, peers.node]) {
        expect(await peer.ask(where, 25)).to.deep.equal({ [second]: 25 });
      }
      want(
        service(name, [
          [first, 0],
          [second, 0],
        ]),
      );
      for (const connection of connections) expect(await connection.say("on")).to.equal(`${first} on`);
      want(service(name, [first, second]));
      for (const connection of connections) {
        expect(await connection.say("and on")).to.equal(`${first} and on`);
        await connection.close();
      }
    });

    it(`connections to a removed backend end, those to others go on (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name, [first]));
      const from = { ...where, localPort: UNUSED_PORT };
      const doomed = [await peers.client.open("tcp", from), await peers.node.open("tcp", from)];
      want(service(name, [[first, 0], second]));
      const kept = [await peers.client.open("tcp", where), await peers.node.open("tcp", where)];
      want(service(name, [second, third]));
      for (const connection of doomed) await ends(connection);
      for (const connection of kept) {
        expect(await connection.say("still here")).to.equal(`${second} still here`);
        await connection.close();
      }
    });

    it(`connections of a removed service end (IPv${family})`, async () => {
      const { peers, want } = current();
      want(service(name, [first]));
      const doomed = [await peers.client.open("tcp", where), await peers.node.open("tcp", where)];
      want();
      for (const connection of doomed) await ends(connection);
    });

    it(`a UDP sender that never stops is moved off a removed backend at once (IPv${family})`, async () => {
      const { peers, want } = current();
      const udp = `udp ${host}:53`;
      want(service(udp, [first]));
      const port = 53;
      const senders = [
        await peers.client.open("udp", { address, port, localPort: 5353 }),
        await peers.node.open("udp", { address, port, localPort: 5354 }),
      ];
      for (const sender of senders) expect(await sender.say("one")).to.match(new RegExp(`^${first} one `));
      want(service(udp, [second]));
      const before = await peers.far.count({ protocol: "udp", address: first, port: BACKEND_PORT });
      for (const sender of senders) expect(await sender.say("two")).to.match(new RegExp(`^${second} two `));
      want(service(udp, []));
      for (const sender of senders) expect(await sender.say("three", 300)).to.equal("timeout");
      want(service(udp, [third]));
      for (const sender of senders) {
        expect(await sender.say("four")).to.match(new RegExp(`^${third} four `));
        await sender.close();
      }
      const after = await peers.far.count({ protocol: "udp", address: first, port: BACKEND_PORT });
      expect(after, "datagrams to the removed backend").to.equal(before);
    });
  }

  it("a UDP sender that began before its service was there is served when it comes", async () => {
    const { peers, want } = current();
    const where = { address: "11.0.0.3", port: 53 };
    const senders = [
      await peers.client.open("udp", { ...where, localPort: 5355 }),
      await peers.node.open("udp", { ...where, localPort: 5356 }),
    ];
    for (const sender of senders) expect(await sender.say("early", 200)).to.equal("timeout");
    const { far } = ADDRESS[4];
    want(service("udp 11.0.0.3:53", [far[0]]));
    for (const sender of senders) {
      expect(await sender.say("late")).to.match(new RegExp(`^${far[0]} late `));
      await sender.close();
    }
  });

  it("a client that reuses its port is served each time, and not by a backend that takes no more", async () => {
    const { peers, want } = current();
    const [first, second] = ADDRESS[4].far;
    const name = "tcp 11.0.0.1:80";
    for (const peer of [peers.client, peers.node]) {
      const where = { address: "11.0.0.1", port: 80, localPort: 40_000 };
      want(service(name, [first]));
      expect(await peer.ask(where, 10)).to.deep.equal({ [first]: 10 });
      want(service(name, [[first, 0], second]));
      expect(await peer.ask(where, 10)).to.deep.equal({ [second]: 10 });
      want(service(name, [first]));
      expect(await peer.ask(where, 10)).to.deep.equal({ [first]: 10 });
    }
  });

  it("everything is replaced while connections are open", async () => {
    const { peers, want } = current();
    const { far, job } = ADDRESS[4];
    const kept = service("tcp 11.0.0.9:80", [far[2]]);
    const old = Array.from({ length: 10 }, (_, index) => service(`tcp 11.0.0.1:${100 + index}`, [far[0], far[1]]));
    want(kept, ...old);
    const stays = await peers.client.open("tcp", { address: "11.0.0.9", port: 80 });
    const doomed = await Promise.all(
      old.map(({ port }, index) =>
        peers.client.open("tcp", { address: "11.0.0.1", port, localPort: UNUSED_PORT + 1 + index }),
      ),
    );
    const fresh = Array.from({ length: 10 }, (_, index) => service(`tcp 11.0.0.1:${105 + index}`, [far[2], job]));
    want(kept, ...fresh);
    for (const connection of doomed) await ends(connection);
    for (const { port } of fresh) {
      const heard = await peers.client.ask({ address: "11.0.0.1", port }, 2);
      expect([far[2], job]).to.include.members(Object.keys(heard));
    }
    expect(await stays.say("untouched")).to.equal(`${far[2]} untouched`);
    await stays.close();
  });
}

/** Expects that the connection ends when its client next speaks, or has ended already. */
async function ends(connection: PeerConnection): Promise<void> {
  expect(connection.greeting).to.match(/ \d+$/);
  expect(await connection.say("anyone?")).to.equal("closed");
  await connection.close();
}
