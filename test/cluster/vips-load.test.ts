import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";
import { openSocketPlace, type SocketPlace, socketPlaceUnavailable } from "../support/socket-place.ts";
import { type VipContainer, VipLab } from "../support/vip-lab.ts";
import { type Death, expectServed } from "../support/vip-load-judge.ts";
import { BACKEND_PORT } from "../support/vip-network.ts";
import type { PeerConnection } from "../support/vip-peers.ts";

const PLANES = ["nftables", "socket"] as const;
type Plane = (typeof PLANES)[number];

const TCP = { address: "11.9.0.1", port: 80 } as const;
const UDP = { address: "11.9.0.1", port: 53, localPort: 5300 } as const;
const TCP_SERVICE = "tcp 11.9.0.1:80";
const UDP_SERVICE = "udp 11.9.0.1:53";
const VIPS = { tcp: ["11.9.0.1:80"], udp: ["11.9.0.1:53"] } as const;
/** The host whose data plane the clients use, and whose agent is restarted. */
const HOST = 2;
const EVERY_MS = 10;
/** In which datagrams to a backend that the kernel's tables don't have any more go to another one, milliseconds. */
const MOVE_MS = 500;
const DRAIN_MS = 10_000;
/** In which the agent must notice that a drain is over, milliseconds. */
const DRAIN_END_LIMIT_MS = 10_000;
const POLL_MS = 100;

describeLab("virtual IPs under load", function () {
  this.timeout(TEST_LIMIT_MS);
  const lab = new VipLab();
  let place: SocketPlace;
  let containers: Record<"a" | "b" | "c" | "d" | "client", VipContainer>;

  before(async function () {
    const reason = socketPlaceUnavailable();
    if (reason !== undefined) {
      console.log(`      skipped: ${reason}`);
      this.skip();
    }
    await sweepLabs();
    place = openSocketPlace();
    await lab.up(3, { l4lb_drain_ms: DRAIN_MS });
    containers = {
      a: await lab.container("a", 1),
      b: await lab.container("b", 2),
      c: await lab.container("c", 3),
      d: await lab.container("d", 1),
      client: await lab.container("client", HOST, place.cgroup),
    };
  });
  printsLogsOfFailures(() => lab.cluster.labs.logs());
  after(async () => {
    await lab.clear();
    place?.close();
  });
  afterEach(async () => {
    for (const container of Object.values(containers)) lab.withdraw(container);
  });

  for (const plane of PLANES) {
    it(`${plane}: backends come, are drained and killed, agents restarted: clients of the others notice nothing`, async () => {
      const { a, b, c, d, client } = containers;
      await use(plane);
      for (const each of [a, b, c]) lab.declare(each, { vips: VIPS });
      await balances(plane, [a, b, c]);
      const held = await holdOn(client, a);
      const load = start(client);
      await Bun.sleep(300);

      lab.declare(d, { vips: { ...VIPS, tcp: [...VIPS.tcp, "11.9.0.2:80"] } });
      await balances(plane, [a, b, c, d]);
      // Before it is said: the agent may have read it before this program goes on.
      const drainedAt = Date.now();
      lab.declare(a, { vips: VIPS, state: "killing" });
      await balances(plane, [b, c, d], [a]);
      const drained = await countsOf(a);

      await lab.restart(HOST, {}, "SIGTERM");
      expect(await held.say("restarted")).to.equal(`${a.address} restarted`);
      await lab.restart(HOST, {}, "SIGKILL");
      expect(await held.say("killed")).to.equal(`${a.address} killed`);
      const repaired = resynced(plane);

      const deaths: Death[] = [];
      for (const doomed of [b, c]) deaths.push(await die(plane, doomed));
      await repaired;
      expect(await countsOf(a), "what came to the drained backend").to.deep.equal(drained);
      expectServed(await load.end(), deaths);
      await endsAt(held, drainedAt + DRAIN_MS);
    });
  }

  it("another data plane takes over, and back again: no new connection fails, and no datagram", async () => {
    const { a, c, client } = containers;
    await use("nftables");
    for (const each of [a, c]) lab.declare(each, { vips: VIPS });
    await balances("nftables", [a, c]);
    const load = start(client);
    for (const plane of ["socket", "nftables"] as const) {
      await use(plane);
      await balances(plane, [a, c]);
      const other = plane === "socket" ? undefined : place;
      await eventually(
        SOON_MS,
        async () => lab.inKernel(HOST, other),
        (left) => Bun.deepEquals(left, {}),
      );
      await Bun.sleep(300);
    }
    expectServed(await load.end(), []);
  });

  function start({ kernel }: VipContainer) {
    return lab.load(kernel, { tcp: TCP, udp: UDP, everyMs: EVERY_MS, timeoutMs: 3000 }, place.cgroup);
  }

  /** Lets the host balance with this data plane. */
  async function use(plane: Plane): Promise<void> {
    await lab.restart(HOST, { l4lb: plane, l4lb_cgroup: place.cgroup, l4lb_bpf_dir: place.pins });
    await eventually(
      10_000,
      () => lab.status(HOST),
      ({ vips }) => vips?.dataplane?.kind === plane,
    );
    await lab.agree();
  }

  const placeOf = (plane: Plane) => (plane === "socket" ? place : undefined);

  /** Waits until the host's kernel has these backends; those that are drained keep their connections only. */
  async function balances(plane: Plane, backends: readonly VipContainer[], drained: readonly VipContainer[] = []) {
    const on = placeOf(plane);
    const weighed = (all: readonly VipContainer[], weight: number) =>
      all.map(({ address }) => [address, weight] as const);
    const live = weighed(backends, 1);
    await lab.has(HOST, TCP_SERVICE, Object.fromEntries([...live, ...weighed(drained, 0)]), on);
    await lab.has(HOST, UDP_SERVICE, Object.fromEntries(live), on);
  }

  /** Breaks what has to do with another virtual IP, and waits until the agent has looked at everything and put it
   *  right. */
  async function resynced(plane: Plane): Promise<void> {
    if (plane === "socket") rmSync(join(place.pins, "links/connect6"));
    else forget(lab.kernel(HOST), "backends4", "0b090002");
    await eventually(
      SOON_MS,
      () => lab.status(HOST),
      ({ vips }) => (vips?.repairs ?? 0) > 0,
    );
  }

  /** Kills a backend, lets its node know, waits until it has left the host's kernel, and sees that nothing comes to it
   *  any more. */
  async function die(plane: Plane, doomed: VipContainer): Promise<Death> {
    const at = Date.now();
    await lab.kill(doomed);
    lab.withdraw(doomed);
    const tables = async () => JSON.stringify(lab.inKernel(HOST, placeOf(plane)));
    await eventually(SOON_MS, tables, (text) => !text.includes(`"${doomed.address}:`));
    const until = Date.now() + MOVE_MS;
    await Bun.sleep(MOVE_MS);
    const before = await countsOf(doomed);
    await Bun.sleep(MOVE_MS);
    expect(await countsOf(doomed), `what still comes to ${doomed.name}`).to.deep.equal(before);
    return { at, until };
  }

  /** Connections and datagrams that came. */
  function countsOf({ peer, address }: VipContainer): Promise<number[]> {
    const count = (protocol: "tcp" | "udp") => peer.count({ protocol, address, port: BACKEND_PORT });
    return Promise.all([count("tcp"), count("udp")]);
  }
});

/** Deletes the element of a set whose key begins so. */
function forget({ nftables }: VipContainer["kernel"], set: string, start: string): void {
  const all = nftables.rawElements("inet", "dcos_l4lb", set) ?? [];
  const elements = all.filter(({ key }) => key.startsWith(start));
  expect(elements, `elements of ${set}`).to.have.length(1);
  nftables.changeElements("inet", "dcos_l4lb", [{ do: "delete", set, elements }]);
}

/** A connection of a client through the virtual IP to this backend. */
async function holdOn({ peer }: VipContainer, { address }: VipContainer): Promise<PeerConnection> {
  for (let tries = 0; tries < 100; tries++) {
    const connection = await peer.open("tcp", TCP);
    if (connection.greeting.startsWith(`${address} `)) return connection;
    await connection.close();
  }
  throw new Error(`none of 100 connections went to ${address}`);
}

/** Expects that a connection lives up to this moment and ends soon after. */
async function endsAt(connection: PeerConnection, moment: number): Promise<void> {
  for (;;) {
    const said = Date.now();
    const isAlive = (await connection.say("on")).endsWith(" on");
    if (!isAlive) {
      expect(Date.now(), "the end of a drained connection").to.be.at.least(moment);
      return;
    }
    expect(said, "a drained connection lives").to.be.lessThan(moment + DRAIN_END_LIMIT_MS);
    await Bun.sleep(POLL_MS);
  }
}
