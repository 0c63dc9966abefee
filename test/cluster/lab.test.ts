import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { LabStatus } from "../../bin/lab/status.ts";
import type { PeerView } from "../../bin/overlay-view.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import {
  becomes,
  describeLab,
  eventually,
  Labs,
  mountsWith,
  SOON_MS,
  sweepLabs,
  TEST_LIMIT_MS,
} from "../support/lab.ts";

/** Everything of the overlay on a host as the tools of operators show it, without the numbers that the kernel gives
 *  anew. */
const SNAPSHOT = `
exec 2>&1
for dev in vtep1024 m-dcos; do ip -o -d link show dev $dev; ip -o address show dev $dev scope global; done |
  sed -e 's/^[0-9]*: //' -e 's/valid_lft.*//' -e 's/ state [A-Z]*//' -e 's/,*\\(NO-CARRIER\\|LOWER_UP\\),*//' \\
      -e 's/bridge forward_delay.*//'
ip route show table all proto 171; ip -6 route show table all proto 171
ip rule; ip -6 rule
ip neigh show dev vtep1024 nud permanent | sort; ip -6 neigh show dev vtep1024 nud permanent | sort
bridge fdb show dev vtep1024 | sort
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv4/conf/vtep1024/rp_filter \\
  /proc/sys/net/ipv6/conf/m-dcos/accept_dad
cat $1/dcos.conf $1/dcos.conflist || true`;

describeLab("a static lab of three hosts", function () {
  this.timeout(TEST_LIMIT_MS);
  let labs: Labs;

  before(async () => {
    await sweepLabs();
    labs = new Labs();
    await labs.ok("lab", "up", "--static", "--nodes", "3");
    const serve = ["--", "dcos-net", "lab", "serve", "--port", "80"];
    await labs.ok("lab", "run", "--node", "1", "--name", "web", "--publish", "8080:80", "--vip", "web:80", ...serve);
    await labs.ok("lab", "run", "--node", "2", "--name", "client", "--", "sleep", "1h");
    await labs.ok("lab", "run", "--node", "3", "--name", "third", "--", "sleep", "1h");
  });
  printsLogsOfFailures(() => labs.logs());
  after(() => labs.clear());

  const status = () => labs.json<LabStatus>("lab", "status");
  const inClient = (...command: string[]) => labs.ok("lab", "exec", "--name", "client", "--", ...command);
  const onHost = (node: number, ...command: string[]) =>
    labs.ok("lab", "exec", "--node", String(node), "--", ...command);
  const fetchFrom = (name: string, url: string) =>
    labs.ok("lab", "exec", "--name", name, "--", "dcos-net", "lab", "fetch", "--wait", "5", url);
  const cniDir = (node: number) => join(labs.root, "lab", `n${node}`, "cni");
  const snapshot = (node: number) => onHost(node, "sh", "-c", SNAPSHOT, "sh", cniDir(node));
  const nodesFile = () => join(labs.root, "lab", "nodes.json");

  it("says of each host and container where it is and how it does", async () => {
    const { nodes, containers, healthy } = await status();
    expect(healthy).to.equal(true);
    expect(nodes.map(({ name, peers }) => [name, peers])).to.deep.equal([
      ["n1", 2],
      ["n2", 2],
      ["n3", 2],
    ]);
    expect(containers.map(({ name, node, addresses, state }) => ({ name, node, addresses, state }))).to.deep.equal([
      { name: "web", node: "n1", addresses: ["9.0.0.2", "fd01:b::2"], state: "running" },
      { name: "client", node: "n2", addresses: ["9.0.1.2", "fd01:b::1:0:0:2"], state: "running" },
      { name: "third", node: "n3", addresses: ["9.0.2.2", "fd01:b::2:0:0:2"], state: "running" },
    ]);
    expect(containers[0]?.vips).to.deep.equal(["web:80"]);
  });

  for (const [family, address] of [
    ["IPv4", "9.0.0.2"],
    ["IPv6", "fd01:b::2"],
  ] as const) {
    it(`lets containers of other hosts ping over ${family}`, async () => {
      expect(await inClient("ping", "-c", "2", "-i", "0.2", "-W", "2", address)).to.include(" 0% packet loss");
    });
  }

  it("carries HTTP between hosts with the containers' own addresses, over IPv4 and IPv6", async () => {
    expect(await fetchFrom("client", "http://9.0.0.2/")).to.match(/^200 .*\nweb\n[\s\S]*client 9\.0\.1\.2\n$/);
    expect(await fetchFrom("third", "http://[fd01:b::2]/")).to.match(/^200 .*\nweb\n[\s\S]*client fd01:b::2:0:0:2\n$/);
  });

  it("carries full-sized packets: ten megabytes arrive, and they went through the tunnel", async () => {
    const before = await status();
    expect(await fetchFrom("client", "http://9.0.0.2/bytes/10000000")).to.match(/^200 {2}10000000 bytes/);
    const after = await status();
    const received = (of: LabStatus) => of.nodes[1]?.tunnel?.receivedBytes ?? 0;
    expect(received(after) - received(before)).to.be.greaterThan(10_000_000);
  });

  it("leads a host port to its container, from other hosts, from the host itself and from containers", async () => {
    for (const url of ["http://10.77.0.1:8080/", "http://[fd77::1]:8080/"]) {
      expect(await onHost(3, "dcos-net", "lab", "fetch", url)).to.match(/^200 .*\nweb\n/);
      expect(await fetchFrom("client", url)).to.match(/^200 .*\nweb\n/);
      expect(await fetchFrom("web", url)).to.match(/^200 .*\nweb\n/);
    }
    expect(await onHost(1, "dcos-net", "lab", "fetch", "http://127.0.0.1:8080/")).to.match(/^200 .*\nweb\n/);
  });

  it("refuses a second container for a host port, naming the first, and leaves nothing of the second", async () => {
    const ports = () => onHost(1, "ip", "-o", "link", "show", "master", "m-dcos");
    const before = await ports();
    const publish = ["--publish", "8080:80", "--", "sleep", "9"];
    const second = await labs.run("lab", "run", "--node", "1", "--name", "rival", ...publish);
    expect(second.status).to.equal(1);
    expect(second.stderr).to.include("web");
    expect((await status()).containers.map(({ name }) => name)).to.not.include("rival");
    expect(await ports()).to.equal(before);
  });

  it("gives a stopped container's addresses and port back", async () => {
    const run = ["lab", "run", "--node", "3", "--name", "brief", "--publish", "9090:80", "--", "sleep", "1h"];
    await labs.ok(...run);
    await labs.ok("lab", "stop", "--name", "brief");
    const leases = readdirSync(join(labs.root, "lab", "n3", "leases", "dcos"));
    expect(leases.filter((name) => readLease(labs.root, name).startsWith("brief"))).to.deep.equal([]);
    expect(await onHost(3, "nft", "list", "ruleset")).to.not.include("9090");
    await labs.ok(...run);
    await labs.ok("lab", "stop", "--name", "brief");
  });

  describe("repairs what somebody else deletes or changes", () => {
    const damages: readonly (readonly [string, string])[] = [
      ["the tunnel device", "ip link delete vtep1024"],
      ["the tunnel device's state", "ip link set vtep1024 down"],
      ["the tunnel device's MTU", "ip link set vtep1024 mtu 1300"],
      ["the tunnel's IPv4 address", "ip address delete 44.128.0.3/20 dev vtep1024"],
      ["the tunnel's IPv6 address", "ip address delete fd01:a::3/64 dev vtep1024"],
      ["the bridge's IPv4 address", "ip address delete 9.0.2.1/25 dev m-dcos"],
      ["the bridge's IPv6 address", "ip address delete fd01:b::2:0:0:1/81 dev m-dcos"],
      ["the bridge's state", "ip link set m-dcos down"],
      ["an IPv4 neighbour", "ip neigh delete 44.128.0.1 dev vtep1024"],
      ["an IPv6 neighbour", "ip neigh delete fd01:a::1 dev vtep1024"],
      ["a forwarding entry", "bridge fdb delete 70:b3:d5:80:00:01 dev vtep1024 dst 10.77.0.1"],
      ["an IPv4 route", "ip route delete 9.0.0.0/24"],
      ["an IPv6 route", "ip -6 route delete fd01:b::/80"],
      ["an IPv4 route to a host", "ip route delete 10.77.0.1 table 42"],
      ["an IPv6 route to a host", "ip -6 route delete fd77::1 table 42"],
      ["the IPv4 rule", "ip rule delete from 9.0.0.0/8 lookup 42"],
      ["the IPv6 rule", "ip -6 rule delete from fd01:b::/64 lookup 42"],
      ["IPv4 forwarding", "echo 0 >/proc/sys/net/ipv4/ip_forward"],
      ["the CNI configuration of Mesos", "rm $1/dcos.conf"],
      ["the CNI configuration of others", "rm $1/dcos.conflist"],
    ];

    for (const [object, damage] of damages) {
      it(object, async () => {
        const whole = await snapshot(3);
        const repairs = async () => (await status()).nodes[2]?.repairs ?? 0;
        const before = await repairs();
        await onHost(3, "sh", "-ec", damage, "sh", cniDir(3));
        await becomes(SOON_MS, () => snapshot(3), whole);
        await eventually(SOON_MS, repairs, (now) => now > before);
      });
    }

    it("the bridge, and puts the containers that run back onto it", async () => {
      const ports = () => onHost(3, "bridge", "-d", "link", "show");
      expect(await ports()).to.match(/veth[\s\S]*master m-dcos state forwarding[\s\S]*hairpin on/);
      const all = async () => [await snapshot(3), await ports()].join("\n");
      const whole = await all();
      await onHost(3, "ip", "link", "delete", "m-dcos");
      await becomes(SOON_MS, all, whole);
      for (const url of ["http://9.0.0.2/", "http://[fd01:b::2]/"]) {
        expect(await fetchFrom("third", url)).to.match(/^200 /);
      }
    });
  });

  it("takes a departed host out of the others, keeps that host's own state, and takes it back", async () => {
    const text = readFileSync(nodesFile(), "utf8");
    const whole = await snapshot(1);
    const file = JSON.parse(text) as { nodes: { name: string }[] };
    const without = { ...file, nodes: file.nodes.filter(({ name }) => name !== "n3") };
    const departed = await snapshot(3);
    writeFileSync(nodesFile(), JSON.stringify(without));
    for (const node of [1, 2]) {
      await eventually(
        SOON_MS,
        () => snapshot(node),
        (now) => !/44\.128\.0\.3|fd01:a::3|10\.77\.0\.3|fd77::3|9\.0\.2\.0|70:b3:d5:80:00:03/.test(now),
      );
    }
    await eventually(
      SOON_MS,
      () => labs.run("lab", "status"),
      ({ stdout }) => /^n3: .*find node "n3"/m.test(stdout),
    );
    expect(await snapshot(3)).to.equal(departed);
    expect(await fetchFrom("client", "http://9.0.0.2/")).to.match(/^200 /);
    writeFileSync(nodesFile(), text);
    await becomes(SOON_MS, () => snapshot(1), whole);
    await eventually(
      SOON_MS,
      () => labs.run("lab", "status"),
      (answer) => answer.status === 0,
    );
  });

  it("stays as it is under a nodes file that can't be used, and says what is wrong with it", async () => {
    const text = readFileSync(nodesFile(), "utf8");
    const whole = await snapshot(1);
    writeFileSync(nodesFile(), text.replace('"address": "10.77.0.2"', '"address": "10.77.0.2000"'));
    const answer = await eventually(
      SOON_MS,
      () => labs.run("lab", "status"),
      ({ status: code }) => code === 1,
    );
    expect(answer.stdout).to.include("nodes[1].address");
    expect(await snapshot(1)).to.equal(whole);
    writeFileSync(nodesFile(), text);
    await eventually(
      SOON_MS,
      () => labs.run("lab", "status"),
      ({ status: code }) => code === 0,
    );
  });

  it("goes on working when an agent is killed, and a new agent changes nothing", async () => {
    const killed = (await status()).nodes[1]?.agent.pid ?? 0;
    const whole = await snapshot(2);
    const links = await onHost(2, "ip", "-o", "-br", "link");
    process.kill(killed, "SIGKILL");
    const down = await eventually(
      SOON_MS,
      () => labs.run("lab", "status"),
      (answer) => answer.status === 1,
    );
    expect(down.stdout).to.include(`process ${killed}`);
    expect(await snapshot(2)).to.equal(whole);
    expect(await inClient("ping", "-c", "2", "-i", "0.2", "-W", "2", "9.0.0.2")).to.include(" 0% packet loss");
    const config = join(labs.root, "lab", "n2", "config.json");
    labs.spawn("lab", "exec", "--node", "2", "--", "dcos-net", "--config", config, "agent");
    await eventually(
      SOON_MS,
      () => labs.run("lab", "status"),
      (answer) => answer.status === 0,
    );
    expect(await snapshot(2)).to.equal(whole);
    expect(await onHost(2, "ip", "-o", "-br", "link")).to.equal(links);
    const { counts } = JSON.parse(await labs.ok("--config", config, "status", "--json")).agent;
    expect(counts.changes).to.equal(0);
  });

  it("refuses a second agent on a host, naming the first, which goes on", async () => {
    const config = join(labs.root, "lab", "n1", "config.json");
    const pid = (await status()).nodes[0]?.agent.pid;
    const second = await labs.run("lab", "exec", "--node", "1", "--", "dcos-net", "--config", config, "agent");
    expect(second.status).to.equal(1);
    expect(second.stderr).to.include(`process ${pid} is the agent there`);
    expect((await status()).nodes[0]?.agent.healthy).to.equal(true);
  });

  it("shows each peer with what the kernel lacks of the way to it, those with something missing first", async () => {
    const config = join(labs.root, "lab", "n1", "config.json");
    const peers = ["lab", "exec", "--node", "1", "--", "dcos-net", "--config", config, "overlay", "peers"];
    const whole = await labs.run(...peers, "--json");
    expect(whole.status).to.equal(0);
    expect(JSON.parse(whole.stdout).map(({ node, missing }: PeerView) => [node, missing])).to.deep.equal([
      ["n2", []],
      ["n3", []],
    ]);
    const agent = (await status()).nodes[0]?.agent.pid ?? 0;
    process.kill(agent, "SIGSTOP");
    try {
      await onHost(1, "bridge", "fdb", "delete", "70:b3:d5:80:00:03", "dev", "vtep1024", "dst", "10.77.0.3");
      await onHost(1, "ip", "route", "delete", "9.0.2.0/24");
      const broken = await labs.run(...peers, "--json");
      expect(broken.status).to.equal(1);
      const [first] = JSON.parse(broken.stdout) as PeerView[];
      expect(first?.node).to.equal("n3");
      expect(first?.missing).to.have.members([
        "fdb 70:b3:d5:80:00:03 dst 10.77.0.3",
        "route 9.0.2.0/24 via 44.128.0.3",
      ]);
      const shown = await labs.run(...peers.slice(0, -1), "show");
      expect(shown.status).to.equal(1);
      expect(shown.stdout).to.include("the kernel lacks something: replace route 9.0.2.0/24 via 44.128.0.3");
    } finally {
      process.kill(agent, "SIGCONT");
    }
    await eventually(
      SOON_MS,
      () => labs.run(...peers),
      (answer) => answer.status === 0,
    );
  });

  it("explains an address by the kernel objects that lead to it, and names the first that is missing", async () => {
    const config = join(labs.root, "lab", "n1", "config.json");
    const explain = [
      "lab",
      "exec",
      "--node",
      "1",
      "--",
      "dcos-net",
      "--config",
      config,
      "overlay",
      "explain",
      "9.0.1.2",
    ];
    expect(await labs.ok(...explain)).to.match(/overlay dcos on node n2\n[\s\S]*route 9\.0\.1\.0\/24/);
    const agent = (await status()).nodes[0]?.agent.pid ?? 0;
    process.kill(agent, "SIGSTOP");
    try {
      await onHost(1, "ip", "neigh", "delete", "44.128.0.2", "dev", "vtep1024");
      const broken = await labs.run(...explain);
      expect(broken.status).to.equal(1);
      expect(broken.stdout).to.match(/first missing: neighbor 44\.128\.0\.2/);
    } finally {
      process.kill(agent, "SIGCONT");
    }
    await eventually(
      SOON_MS,
      () => labs.run(...explain),
      (answer) => answer.status === 0,
    );
  });
});

describeLab("labs", function () {
  this.timeout(TEST_LIMIT_MS);
  let labs: Labs;

  before(async () => {
    await sweepLabs();
    labs = new Labs();
  });
  printsLogsOfFailures(() => labs.logs());
  after(() => labs.clear());

  it("can be up two at once with equal addresses; containers of an isolated overlay reach only their own", async () => {
    const overlays = ["--overlay", "open=9.1.0.0/16,fd01:c::/64", "--overlay", "dark=9.2.0.0/16,fd01:e::/64,isolated"];
    await labs.ok("lab", "up", "--static", "--lab", "one", "--nodes", "2", ...overlays);
    await labs.ok("lab", "up", "--static", "--lab", "two", "--nodes", "2", ...overlays);
    for (const lab of ["one", "two"]) {
      for (const [name, node, overlay] of [
        ["dark1", "1", "dark"],
        ["dark2", "2", "dark"],
        ["open1", "1", "open"],
        ["open2", "2", "open"],
      ] as const) {
        const place = ["--lab", lab, "--node", node, "--name", name, "--overlay", overlay];
        await labs.ok("lab", "run", ...place, "--", "dcos-net", "lab", "serve", "--text", `${lab} ${name}`);
      }
      const ask = (from: string, url: string, ...patience: string[]) =>
        labs.run("lab", "exec", "--lab", lab, "--name", from, "--", "dcos-net", "lab", "fetch", url, ...patience);
      const answered = (from: string, url: string) => ask(from, url, "--wait", "5");
      const refused = async (from: string, url: string) => {
        const { status, stderr } = await ask(from, url, "--timeout", "2");
        expect(status, `${from} to ${url}`).to.equal(1);
        expect(stderr).to.include("cannot fetch");
      };
      const dark = ["http://9.2.1.2/", "http://[fd01:e::1:0:0:2]/"];
      const open = ["http://9.1.1.2/", "http://[fd01:c::1:0:0:2]/", "http://9.1.0.2/"];
      for (const url of dark) expect((await answered("dark1", url)).stdout).to.include(`${lab} dark2\n`);
      for (const url of open) expect((await answered("open2", url)).stdout).to.include(`${lab} open`);
      await Promise.all([...dark.map((url) => refused("open1", url)), ...open.map((url) => refused("dark1", url))]);
    }
    await labs.ok("lab", "down", "--lab", "one");
    const left = [
      "lab",
      "exec",
      "--lab",
      "two",
      "--name",
      "open1",
      "--",
      "dcos-net",
      "lab",
      "fetch",
      "http://9.1.1.2/",
    ];
    expect(await labs.ok(...left)).to.include("two open2");
    await labs.ok("lab", "down", "--lab", "two");
  });

  it("leave nothing behind when they go down, whatever runs in them", async () => {
    await labs.ok("lab", "up", "--lab", "gone", "--nodes", "2");
    const stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    await labs.ok("lab", "run", "--lab", "gone", "--node", "1", "--name", "stubborn", "--", ...stubborn);
    const { nodes, containers } = await labs.json<LabStatus>("lab", "status", "--lab", "gone");
    const pids = [...nodes.map(({ agent }) => agent.pid), ...containers.map(({ pid }) => pid)];
    const namespaces = new Set(pids.map((pid) => readlinkSync(`/proc/${pid}/ns/net`)));
    expect(namespaces.size).to.equal(3);
    expect(mountsWith(labs.root)).to.have.lengthOf(4);
    expect(await labs.ok("lab", "down", "--lab", "gone")).to.include("4 namespaces removed");
    expect(mountsWith(labs.root)).to.deep.equal([]);
    expect(existsSync(join(labs.root, "gone"))).to.equal(false);
    expect(processNamespaces().filter((namespace) => namespaces.has(namespace))).to.deep.equal([]);
    expect((await labs.run("lab", "down", "--lab", "gone")).status).to.equal(1);
  });

  it("refuse a name in use and leave the lab of that name alone", async () => {
    await labs.ok("lab", "up", "--lab", "taken", "--nodes", "1");
    const second = await labs.run("lab", "up", "--lab", "taken", "--nodes", "1");
    expect(second.status).to.equal(1);
    expect(second.stderr).to.include("lab down --lab taken");
    expect((await labs.run("lab", "status", "--lab", "taken")).status).to.equal(0);
    await labs.ok("lab", "down", "--lab", "taken");
  });

  it("can be taken down when bringing them up was killed at any moment", async () => {
    for (let kill = 0; kill < 12; kill++) {
      const up = labs.spawn("lab", "up", "--lab", "half", "--nodes", "4");
      await Bun.sleep(kill * 9);
      up.kill("SIGKILL");
      await up.exited;
      if (!existsSync(join(labs.root, "half"))) continue;
      expect((await labs.run("lab", "up", "--lab", "half", "--nodes", "1")).stderr).to.include("exists");
      await labs.ok("lab", "down", "--lab", "half");
      expect(mountsWith(labs.root)).to.deep.equal([]);
      expect(existsSync(labs.root)).to.equal(false);
    }
  });

  it("go down by themselves when bringing them up is interrupted", async () => {
    const up = labs.spawn("lab", "up", "--lab", "cut", "--nodes", "16");
    await eventually(
      SOON_MS,
      async () => mountsWith(join(labs.root, "cut")).length,
      (count) => count > 0,
    );
    up.kill("SIGINT");
    expect(await up.exited).to.equal(1);
    expect(await up.stderr.text()).to.include("stopped by SIGINT");
    expect(mountsWith(labs.root)).to.deep.equal([]);
    expect(existsSync(labs.root)).to.equal(false);
  });
});

function readLease(root: string, name: string): string {
  return readFileSync(join(root, "lab", "n3", "leases", "dcos", name), "utf8");
}

/** The network namespace of every process of the machine. */
function processNamespaces(): string[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) ? readlinkSync(`/proc/${name}/ns/net`) : [];
    } catch {
      return [];
    }
  });
}
