import { release } from "node:os";
import { expect } from "chai";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { ADDRESS, BACKEND_PORT, openVipNetwork, type VipNetwork } from "../support/vip-network.ts";
import { type Peer, startPeer } from "../support/vip-peers.ts";
import { service } from "../support/vip-services.ts";

const ROUNDS = 12;
/** Milliseconds between two changes. */
const PAUSE_MS = 100;
const DATAGRAM_PAUSE_MS = 10;
/** After which a datagram has no answer. */
const PATIENCE_MS = 1000;
const [FIRST, SECOND, THIRD] = ADDRESS[4].far;
const TCP = { address: "11.0.0.1", port: 80 };
const UDP = { address: "11.0.0.1", port: 53, localPort: 6000 };

type Weighted = readonly (readonly [string, number])[];

/** What a client that never stops has met. */
interface Met {
  /** Of each connection: the address of its server, or how it failed. */
  readonly connections: Record<string, number>;
  /** Datagrams without answer. */
  lost: number;
  /** Answers of a backend that had been removed when the datagram was sent. */
  late: number;
  datagrams: number;
}

describe("clients of IPVS that never stop, while everything changes", function () {
  this.timeout(300_000);
  const undo: (() => unknown)[] = [];
  let network: VipNetwork;
  let plane: Dataplane;
  let client: Peer;
  /** Times that the client has asked over TCP. */
  let asked = 0;
  /** Backends of the UDP service, now and before, the latest last. */
  const present: (readonly string[])[] = [];

  const open = () => openIpvsDataplane(network.node, { release: release(), random: Math.random });
  const want = (...services: Service[]) => {
    const changes = planServices(plane.read(), services);
    expect(plane.apply(changes)).to.deep.equal(changes.map(() => undefined));
  };
  const set = (tcp: Weighted, udp: readonly string[]) => {
    want(service("tcp 11.0.0.1:80", tcp, { scheduler: "rr" }), service("udp 11.0.0.1:53", udp));
    present.push(udp);
  };

  before(async () => {
    network = openVipNetwork();
    undo.push(network.close);
    plane = open();
    undo.push(() => plane.close());
    plane.prepare();
    const far = await startPeer(network.far);
    undo.push(far.stop);
    for (const address of ADDRESS[4].far) {
      await far.serve({ protocol: "tcp", address, port: BACKEND_PORT });
      await far.serve({ protocol: "udp", address, port: BACKEND_PORT });
    }
    client = await startPeer(network.client);
    undo.push(client.stop);
  });
  after(async () => {
    for (const step of undo.reverse()) await step();
  });

  it("lose no connection to a living backend, and no datagram goes to one that was removed", async () => {
    set([[FIRST, 1]], [FIRST]);
    const held = await client.open("tcp", TCP);
    const met: Met = { connections: {}, lost: 0, late: 0, datagrams: 0 };
    let going = true;
    const clients = [connect(met, () => going), send(met, () => going)];
    for (let round = 0; round < ROUNDS; round++) await change(round);
    going = false;
    await Promise.all(clients);

    expect(Object.keys(met.connections).sort()).to.deep.equal([FIRST, SECOND, THIRD]);
    expect(met.datagrams).to.be.greaterThan(ROUNDS);
    expect(met.late).to.equal(0);
    // The kernel has no step in which a backend goes and its senders move: what is sent just then is lost.
    expect(met.lost).to.be.at.most(ROUNDS);
    // Drained many times, never removed.
    expect(await held.say("still here")).to.equal(`${FIRST} still here`);
    await held.close();
  });

  /** One backend more, one drained, the drained one removed; a new agent takes over; all is read and compared. */
  async function change(round: number): Promise<void> {
    const [stays, goes] = round % 2 === 0 ? [SECOND, THIRD] : [THIRD, SECOND];
    const steps: (() => void)[] = [
      () =>
        set(
          [
            [FIRST, 1],
            [SECOND, 1],
            [THIRD, 1],
          ],
          [FIRST, SECOND, THIRD],
        ),
      () =>
        set(
          [
            [FIRST, 0],
            [stays, 2],
            [goes, 0],
          ],
          [stays],
        ),
      () =>
        set(
          [
            [FIRST, 1],
            [stays, 1],
          ],
          [FIRST],
        ),
      () => {
        plane.close();
        plane = open();
        expect(plane.prepare().made).to.deep.equal([]);
      },
    ];
    for (const step of steps) {
      step();
      await Bun.sleep(PAUSE_MS);
      await drained();
    }
  }

  /** Until connections that had begun have ended, as an agent waits before it removes a drained backend. */
  async function drained(): Promise<void> {
    for (const since = asked; asked < since + 2; ) await Bun.sleep(1);
  }

  async function connect({ connections }: Met, going: () => boolean): Promise<void> {
    while (going()) {
      const heard = await client.ask(TCP, 3);
      asked += 1;
      for (const [name, count] of Object.entries(heard)) connections[name] = (connections[name] ?? 0) + count;
    }
  }

  async function send(met: Met, going: () => boolean): Promise<void> {
    const sender = await client.open("udp", UDP);
    while (going()) {
      const before = present.length - 1;
      const answer = await sender.say("hello", PATIENCE_MS);
      met.datagrams += 1;
      const server = answer.split(" ")[0] ?? "";
      if (answer === "timeout") met.lost += 1;
      // An answer that was on its way when the flow ended isn't translated any more.
      else if (server === "answer") met.lost += 1;
      else if (!present.slice(before).flat().includes(server)) met.late += 1;
      await Bun.sleep(DATAGRAM_PAUSE_MS);
    }
    await sender.close();
  }
});
