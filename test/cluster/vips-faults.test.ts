import { expect } from "chai";
import { firstAddress } from "../../l4lb/address.ts";
import { parseIp } from "../../lib/address.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { becomes, describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";
import { VIP_SUFFIX, type VipContainer, VipLab } from "../support/vip-lab.ts";
import { expectServed } from "../support/vip-load-judge.ts";

/** Few addresses for names, so that they meet. */
const POOL = { min: parseIp("11.8.0.0"), max: parseIp("11.8.0.7") };
const TCP = { address: "11.9.0.1", port: 80 } as const;
const UDP = { address: "11.9.0.1", port: 53, localPort: 5300 } as const;
const TCP_SERVICE = "tcp 11.9.0.1:80";
const UDP_SERVICE = "udp 11.9.0.1:53";
const VIPS = { tcp: ["11.9.0.1:80"], udp: ["11.9.0.1:53"] } as const;
const EVERY_MS = 10;
/** In which datagrams to a backend that the kernel's tables don't have any more go to another one, milliseconds. */
const MOVE_MS = 500;
const HIDE_MS = 3000;
const TOGGLES = 12;
const TOGGLE_MS = 400;

describeLab("virtual IPs in a cluster of three hosts", function () {
  this.timeout(TEST_LIMIT_MS);
  const lab = new VipLab();
  const { cluster } = lab;
  let containers: Record<"a" | "b" | "c" | "client", VipContainer>;

  before(async () => {
    await sweepLabs();
    await lab.up(3, { l4lb_pool: "11.8.0.0-11.8.0.7", l4lb_pool6: "" });
    containers = {
      a: await lab.container("a", 1),
      b: await lab.container("b", 2),
      c: await lab.container("c", 3),
      client: await lab.container("client", 2),
    };
  });
  printsLogsOfFailures(() => cluster.labs.logs());
  after(() => lab.clear());
  afterEach(async () => {
    for (const container of Object.values(containers)) lab.withdraw(container);
    for (const host of lab.hosts) await lab.has(host, TCP_SERVICE, undefined);
  });

  const weights = (...backends: readonly VipContainer[]) =>
    Object.fromEntries(backends.map(({ address }) => [address, 1]));
  const has = async (hosts: readonly number[], service: string, backends: readonly VipContainer[]) => {
    for (const host of hosts) await lab.has(host, service, weights(...backends));
  };

  it("whatever somebody deletes is put back and named in the status; what isn't ours stays", async () => {
    const { a, b, c } = containers;
    for (const each of [a, b, c]) lab.declare(each, { vips: VIPS });
    for (const service of [TCP_SERVICE, UDP_SERVICE]) await has(lab.hosts, service, [a, b, c]);
    for (const host of lab.hosts) await cluster.onHost(host, "sh", "-ec", FOREIGN);
    const foreign = await cluster.onHost(1, "sh", "-ec", LOOK_FOREIGN);
    for (const round of DAMAGES) {
      await Promise.all(round.map((damage, index) => repairs(index + 1, damage)));
    }
    // On the third somebody has flushed everything.
    for (const host of [1, 2]) expect(await cluster.onHost(host, "sh", "-ec", LOOK_FOREIGN)).to.equal(foreign);
  });

  it("a restarted agent takes nothing away before it knows all, and then what went meanwhile", async () => {
    const { a, b, c } = containers;
    for (const each of [a, b, c]) lab.declare(each, { vips: VIPS });
    for (const service of [TCP_SERVICE, UDP_SERVICE]) await has([2], service, [a, b, c]);
    const before = lab.inKernel(2);
    await cluster.signal(2, "SIGKILL");
    cluster.forgetView(2);
    await cluster.plug(2, false);
    lab.withdraw(a);
    await cluster.start(2);
    for (const start = performance.now(); performance.now() - start < HIDE_MS; await Bun.sleep(50)) {
      expect(lab.inKernel(2)).to.deep.equal(before);
    }
    const { vips, cluster: known } = await lab.status(2);
    expect(known?.isSettled, "it knows that it doesn't know all").to.equal(false);
    expect(vips?.dataplane?.kind).to.equal("nftables");
    await cluster.plug(2, true);
    await has([2], TCP_SERVICE, [b, c]);
    await lab.agree();
  });

  it("the backends of a killed node leave when gossip has called it dead; its last ones stay, and are shown", async () => {
    const { a, b, c, client } = containers;
    for (const each of [a, b]) lab.declare(each, { vips: VIPS });
    lab.declare(c, { vips: { ...VIPS, tcp: [...VIPS.tcp, "11.9.0.3:80"] } });
    await has(lab.hosts, TCP_SERVICE, [a, b, c]);
    const load = lab.load(client.kernel, { tcp: TCP, udp: UDP, everyMs: EVERY_MS, timeoutMs: 1000 });
    await Bun.sleep(500);
    const killedAt = Date.now();
    await Promise.all([cluster.plug(3, false), cluster.signal(3, "SIGKILL")]);
    await eventually(
      SOON_MS,
      () => lab.status(2),
      ({ cluster: known }) => known?.unreachable === 1,
    );
    await has([2], TCP_SERVICE, [a, b]);
    const until = Date.now() + MOVE_MS;
    await Bun.sleep(2 * MOVE_MS);
    expectServed(await load.end(), [{ at: killedAt, until }]);

    await has([1, 2], "tcp 11.9.0.3:80", [c]);
    const shown = await lab.vip(2, "11.9.0.3");
    expect(shown?.addresses.map(({ lost, kernel }) => ({ lost, kernel }))).to.deep.equal([
      { lost: true, kernel: "ok" },
    ]);
    expect(shown?.backend[0]?.tasks.map(({ lost }) => lost)).to.deep.equal([true]);

    await cluster.plug(3, true);
    await cluster.start(3);
    await lab.agree();
    await has(lab.hosts, TCP_SERVICE, [a, b, c]);
    expect((await lab.vip(2, "11.9.0.3"))?.addresses.map(({ lost }) => lost)).to.deep.equal([false]);
  });

  it("a name has one address on all hosts, also when names collide: over restarts, and after a partition", async () => {
    const { a, b, c } = containers;
    const [first, second, third] = colliding(3);
    const declare = (container: VipContainer, ...labels: readonly string[]) =>
      lab.declare(container, { vips: { tcp: labels.map((label) => `${label}:80`) } });
    const agreed = (labels: readonly string[]) => agreedOn(labels, lab.hosts);

    for (const container of [a, b, c]) declare(container, first, second);
    const standing = await agreed([first, second]);
    expect(new Set(standing).size).to.equal(2);
    for (const host of lab.hosts) await lab.restart(host, {}, "SIGKILL");
    await lab.agree();
    expect(await agreed([first, second]), "after restarts").to.deep.equal(standing);

    // While nobody of the two sides knows of the other, each has a new name, and both begin at the same address.
    await cluster.plug(3, false);
    await cluster.agree([1, 2], 2, 1);
    const fourth = colliding(4)[3] ?? "";
    declare(a, first, second, third);
    const [taken] = await agreedOn([third], [1, 2]);
    declare(c, first, second, fourth);
    expect(await agreedOn([fourth], [3])).to.deep.equal([taken]);
    expect(await agreedOn([first, second], [3]), "in a partition").to.deep.equal(standing);
    await cluster.plug(3, true);
    await lab.agree();
    const whole = await agreed([first, second, third, fourth]);
    expect(whole.slice(0, 3), "who was first keeps it").to.deep.equal([...standing, taken]);
    expect(new Set(whole).size).to.equal(4);
    for (const host of lab.hosts) {
      await eventually(
        SOON_MS,
        () => lab.status(host),
        ({ vips }) => vips?.problems.length === 0,
      );
    }
  });

  it("whenever a name is in DNS its address is served, while virtual IPs come and go", async () => {
    const { c, client } = containers;
    const order = { server: "198.51.100.1", name: `shop.${VIP_SUFFIX}`, port: 80 };
    const lookUps = lab.lookUps(client.kernel, order);
    for (let toggle = 0; toggle < TOGGLES; toggle++) {
      lab.declare(c, { vips: { tcp: ["shop:80"] } });
      await Bun.sleep(TOGGLE_MS + 10 * toggle);
      lab.withdraw(c);
      await Bun.sleep(TOGGLE_MS);
    }
    const { absent, served, lies } = await lookUps.end();
    expect(lies).to.deep.equal([]);
    expect(absent, "look-ups without an answer").to.be.at.least(TOGGLES);
    expect(served, "look-ups that led to a server").to.be.at.least(TOGGLES);
  });

  /** Does damage on a host, and waits until all is as it was and the status names it. */
  async function repairs(host: number, { command, named }: Damage): Promise<void> {
    const before = await look(host);
    const { repairs: count = 0 } = (await lab.status(host)).vips ?? {};
    await cluster.onHost(host, "sh", "-ec", command);
    await becomes(SOON_MS, () => look(host), before);
    await eventually(
      SOON_MS,
      () => lab.status(host),
      ({ vips }) => (vips?.repairs ?? 0) > count,
    );
    const said = () => cluster.labs.ok("--config", cluster.path(host, "config.json"), "status");
    await eventually(SOON_MS, said, (text) => new RegExp(`repaired .*${named}`).test(text));
    const peer = containers.client.node === host ? containers.client.peer : undefined;
    if (peer !== undefined) expect(Object.values(await peer.ask(TCP, 3))).to.not.include("refused");
  }

  /** All that we have in the kernel of a host. */
  async function look(host: number): Promise<string> {
    const services = Object.entries(lab.inKernel(host)).map((entry) => JSON.stringify(entry));
    return [...services.sort(), await cluster.onHost(host, "sh", "-c", LOOK)].join("\n");
  }

  /** The addresses of names, once these hosts all say the same. */
  async function agreedOn(labels: readonly string[], hosts: readonly number[]): Promise<(string | undefined)[]> {
    const ask = () => Promise.all(hosts.map((host) => Promise.all(labels.map((label) => lab.addressOf(host, label)))));
    const answers = await eventually(SOON_MS, ask, (all) => {
      return all.every((answer) => !answer.includes(undefined) && Bun.deepEquals(answer, all[0]));
    });
    return answers[0] ?? [];
  }
});

interface Damage {
  readonly command: string;
  /** What the status says of it. */
  readonly named: string;
}

/** In each round one for each host. */
const DAMAGES: readonly (readonly Damage[])[] = [
  [
    { command: "nft delete table inet dcos_l4lb", named: "table inet dcos_l4lb" },
    { command: "ip link delete minuteman", named: "link minuteman" },
    { command: "nft flush chain inet dcos_l4lb choose4", named: "chain choose4" },
  ],
  [
    { command: "ip route delete 11.9.0.1 dev minuteman", named: "service tcp 11.9.0.1:80" },
    { command: "nft flush set inet dcos_l4lb services4", named: "service udp 11.9.0.1:53" },
    { command: "nft flush ruleset", named: "table inet dcos_l4lb" },
  ],
];

const FOREIGN = `
nft add table inet foreign
nft add set inet foreign mine '{ type ipv4_addr ; elements = { 11.9.0.1 } ; }'
ip link add foreign0 type bridge
ip link set foreign0 up
ip route add 203.0.113.0/24 dev foreign0`;

const LOOK_FOREIGN =
  "nft list table inet foreign; ip route show dev foreign0; ip -o -br link show foreign0 | cut -d' ' -f1";

/** Without the maps for one and two backends, which were there on the way to three and aren't needed any more. */
const LOOK = `
{ nft -t list table inet dcos_l4lb
  ip -o -br link show minuteman | cut -c1-20
  ip route show table all proto 172; } | sort | grep -v -e 'mod [12] ' -e 'random4_[12] ' -e '^.}' -e '^$'`;

/** So many labels whose search for an address begins at the same one. */
function colliding(count: 3): [string, string, string];
function colliding(count: number): string[];
function colliding(count: number): string[] {
  const begins = (label: string) => firstAddress(`${label}.lab`, POOL).value;
  const all = Array.from({ length: 200 }, (_, index) => `name${index}`);
  return all.filter((label) => begins(label) === begins("name0")).slice(0, count);
}
