import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { DOCKER, describeDockers } from "../support/docker-engines.ts";
import { CLUSTER, DockerNode, IMAGE, lines } from "../support/docker-node.ts";
import { NODE } from "../support/peer-machine.ts";

const SUBNETS = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
/** Its pool has been given to the agent's network already, so it has to be named. */
const EXTRA_OPTIONS = ["--subnet", "10.65.0.128/25"];
const OUTSIDE = "198.51.100.77";
const ECHO = fileURLToPath(new URL("../support/peer-echo.ts", import.meta.url));
const RESOLVER = fileURLToPath(new URL("../support/docker-dns.ts", import.meta.url));

describeDockers("Docker with our plugin", ["curl", "ping", "iptables"], function (engine) {
  this.timeout(240_000);
  let node: DockerNode;

  before(async () => {
    node = await DockerNode.start({ engine });
    await node.until("the networks are there", async () => (await networks()).includes("closed"));
  });
  after(() => node.stop());
  afterEach(async () => {
    await node.clear();
    expect(await node.leftovers()).to.deep.equal([]);
  });

  const networks = async () => lines(await node.docker("network", "ls", "--format", "{{.Name}}"));

  it("has a network for each overlay with the upper half of the node's subnet, and again when it is removed", async () => {
    expect(await networks()).to.include.members(["dcos", "closed"]);
    const subnets = await node.docker("network", "inspect", "dcos", "--format", SUBNETS);
    expect(subnets.trim()).to.equal("9.0.0.128/25 fd01:b::8000:0:0/81");
    await node.docker("network", "create", "other");
    await node.docker("network", "rm", "dcos");
    await node.until("the network is back", async () => (await networks()).includes("dcos"));
    expect(await networks()).to.include("other");
    await node.docker("network", "rm", "other");
  });

  it("follows the overlays: a new one gets its network, one that is gone loses it when no container is on it", async () => {
    const extra = { name: "extra", subnet: "10.65.0.0/16", prefix: 24 };
    const only6 = { name: "only6", subnet6: "fd06:b::/64", prefix6: 80 };
    await node.changeCluster({ ...CLUSTER, overlays: [...CLUSTER.overlays, extra, only6] });
    await node.until("the new network is there", async () => (await networks()).includes("extra"));
    if (engine.release < 28) {
      await node.until("the agent says what is missing", async () => (await node.logs()).includes("only6 has no IPv4"));
    } else {
      await node.until("IPv6 suffices", async () => (await networks()).includes("only6"));
      await node.run("six", "--network", "only6");
      await node.until("the other node is reached", () => node.pings("six", "fd06:b::1:0:0:1"));
      await node.docker("rm", "--force", "six");
    }
    await node.docker("network", "create", "--driver", "dcos", "--ipam-driver", "dcos", ...EXTRA_OPTIONS, "by-hand");
    await node.run("web", "--network", "extra");
    await node.run("other", "--network", "by-hand");
    await node.changeCluster(CLUSTER);
    await node.until("the overlay is gone", async () => {
      return (await node.machine.run(["ip", "link", "show", "m-extra"])).code !== 0;
    });
    await node.until("the agent says why the network stays", async () => (await node.logs()).includes("extra stays"));
    expect(await networks()).to.include("extra");
    await node.docker("rm", "--force", "web");
    await node.until("the network is gone", async () => !(await networks()).includes("extra"));
    expect(await networks(), "what the agent did not make").to.include("by-hand");
    await node.docker("rm", "--force", "other");
    await node.docker("network", "rm", "by-hand");
    expect((await node.machine.run(["ip", "link", "show", "d-extra"])).code, "the bridge").not.to.equal(0);
  });

  it("gives a container one interface with both addresses, the overlay's MTU and its gateway", async () => {
    await node.run("web", "--network", "dcos");
    const links = await node.docker("exec", "web", "busybox", "ip", "-o", "link");
    expect(links)
      .to.match(/eth0.* mtu 1450 /)
      .and.not.to.include("eth1");
    expect(await node.docker("exec", "web", "busybox", "ip", "route")).to.include("default via 9.0.0.129");
    expect(await node.docker("exec", "web", "busybox", "ip", "-6", "route")).to.include("default via fd01:b::8000:0:1");
    expect(await node.address("web")).to.match(/^9\.0\.0\.(1[3-9]\d|2\d\d)$/);
    expect(await node.address("web", "dcos", true)).to.match(/^fd01:b::8000:0:/);
  });

  it("connects Docker and CNI containers of both nodes, both ways", async () => {
    const near = await node.cni(1, "netns-near");
    const far = await node.cni(2, "netns-far");
    await node.run("web", "--network", "dcos");
    await node.run("client", "--network", "dcos");
    const web = await node.address("web");
    for (const from of ["client", "netns-near", "netns-far"]) expect(await node.pings(from, web), from).to.equal(true);
    for (const target of [near, far]) expect(await node.pings("web", target), target).to.equal(true);
    expect(await node.pings("client", await node.address("web", "dcos", true))).to.equal(true);
    expect(await node.pings("client", "fd01:b::1:0:0:1"), "node 2 over IPv6").to.equal(true);
    expect(await node.fetch("client", web)).to.equal("web");
  });

  it("publishes ports on the host, refuses one that is taken, and frees it when the container stops", async () => {
    await node.run("web", "--network", "dcos", "-p", "8080:80", "-p", "8081:80");
    const curl = async (url: string, prefix: string[] = []) =>
      (await node.machine.run([...prefix, "curl", "--silent", "--max-time", "3", url])).stdout.trim();
    expect(await curl("http://127.0.0.1:8080")).to.equal("web");
    expect(await curl(`http://${NODE.v4}:8081`, ["ip", "netns", "exec", "internet"])).to.equal("web");
    expect(await node.refusal("run", "--network", "dcos", "-p", "8080:80", IMAGE, "sleep", "1")).to.include(
      "host port 8080/tcp",
    );
    await node.docker("stop", "--time", "0", "web");
    expect(await curl("http://127.0.0.1:8080")).to.equal("");
    await node.run("next", "--network", "dcos", "-p", "8080:80");
    expect(await curl("http://127.0.0.1:8080")).to.equal("next");
  });

  it("gives the addresses that are asked for, once, and keeps them for the container", async () => {
    const wish = ["--network", "dcos", "--ip", "9.0.0.200", "--ip6", "fd01:b::8000:0:99"];
    await node.run("web", ...wish);
    expect([await node.address("web"), await node.address("web", "dcos", true)]).to.deep.equal([
      "9.0.0.200",
      "fd01:b::8000:0:99",
    ]);
    expect(await node.refusal("run", "--network", "dcos", "--ip", "9.0.0.200", IMAGE, "sleep", "1")).to.include(
      "already in use",
    );
    await node.docker("restart", "--time", "0", "web");
    expect(await node.address("web")).to.equal("9.0.0.200");
  });

  it("connects a running container to a second overlay and disconnects it", async () => {
    await node.run("web", "--network", "dcos");
    await node.run("inner", "--network", "closed");
    const inner = await node.address("inner", "closed");
    expect(await node.pings("web", inner), "a closed overlay from outside").to.equal(false);
    await node.docker("network", "connect", "closed", "web");
    expect(await node.pings("web", inner), "from inside").to.equal(true);
    await node.docker("network", "disconnect", "closed", "web");
    expect(await node.pings("web", inner), "from outside again").to.equal(false);
    expect(await node.pings("web", "9.0.1.1"), "the first overlay").to.equal(true);
  });

  it("masquerades what leaves the overlays, and lets nothing out of an internal network", async () => {
    // A host that is no node, beyond the uplink.
    await node.machine.script(`ip -n internet address replace ${OUTSIDE}/24 dev wan0`);
    const server = ["ip", "netns", "exec", "internet", process.execPath, ECHO, "7000", OUTSIDE];
    const echo = await node.machine.start(server);
    const seen = (from: string) => node.docker("exec", from, "sh", "-c", `nc -w 2 ${OUTSIDE} 7000 </dev/null || true`);
    await node.run("web", "--network", "dcos");
    expect(await seen("web")).to.match(new RegExp(`^${NODE.v4} `));
    const create = ["network", "create", "--driver", "dcos", "--ipam-driver", "dcos", "--internal"];
    await node.docker(...create, "--subnet", "9.0.0.128/25", "inside");
    await node.run("in", "--network", "inside");
    expect(await seen("in")).to.equal("");
    expect(await node.pings("in", "9.0.1.1"), "the overlay on the other node").to.equal(true);
    await node.docker("rm", "--force", "in");
    await node.docker("network", "rm", "inside");
    await echo.stop();
  });

  it("lets containers ask the node's resolver through Docker's own", async () => {
    const resolver = await node.machine.start([process.execPath, RESOLVER, NODE.v4]);
    await node.machine.write("/etc/resolv.conf", `nameserver ${NODE.v4}\n`);
    await node.run("web", "--network", "dcos");
    await node.run("inner", "--network", "closed");
    for (const from of ["web", "inner"]) {
      const answer = await node.docker(
        "exec",
        from,
        "busybox",
        "nslookup",
        "-type=a",
        "app.marathon.mesos",
        "127.0.0.11",
      );
      expect(answer, from).to.include("203.0.113.7");
    }
    await resolver.stop();
  });

  it("refuses unknown options by name, and foreign subnets with the right one", async () => {
    const create = ["network", "create", "--driver", "dcos", "--ipam-driver", "dcos"];
    const same = ["--subnet", "9.0.0.128/25"];
    expect(await node.refusal(...create, ...same, "-o", "speed=high", "x")).to.include('driver option "speed"');
    expect(await node.refusal(...create, "--subnet", "9.0.7.0/25", "x")).to.include("9.0.0.128/25");
    expect(await node.refusal("network", "create", "--driver", "dcos", "x")).to.include("--ipam-driver dcos");
    expect(await networks()).not.to.include("x");
  });

  it("isolates the containers of a network from each other when told so, and reserves auxiliary addresses", async () => {
    const create = ["network", "create", "--driver", "dcos", "--ipam-driver", "dcos", "--subnet", "9.0.0.128/25"];
    await node.docker(...create, "-o", "isolated=true", "--aux-address", "printer=9.0.0.250", "apart");
    await node.run("one", "--network", "apart");
    await node.run("two", "--network", "apart");
    expect(await node.pings("one", await node.address("two", "apart"))).to.equal(false);
    expect(await node.pings("one", "9.0.1.1")).to.equal(true);
    expect(await node.refusal("run", "--network", "apart", "--ip", "9.0.0.250", IMAGE, "sleep", "1")).to.include(
      "not available",
    );
    await node.clear();
    await node.docker("network", "rm", "apart");
  });

  it("opens FORWARD for the overlays only, behind Docker's own rules and the operator's", async () => {
    await node.docker("network", "create", "plain");
    await node.run("web", "--network", "dcos");
    await node.run("inner", "--network", "plain");
    expect(await node.fetch("inner", await node.address("web")), "out of Docker's network").to.equal("web");
    const inner = await node.address("inner", "plain");
    expect(await node.pings("web", inner), "into Docker's network").to.equal(false);
    await node.machine.must(["iptables", "-I", "DOCKER-USER", "-i", "d-dcos", "-d", "9.0.1.1", "-j", "DROP"]);
    expect(await node.pings("web", "9.0.1.1"), "what the operator forbids").to.equal(false);
    await node.machine.must(["iptables", "-D", "DOCKER-USER", "1"]);
    expect(await node.pings("web", "9.0.1.1")).to.equal(true);
    expect(lines(await node.machine.must(["iptables", "-S", "FORWARD"])).at(-1)).to.equal("-A FORWARD -j DCOS-NET");
    await node.clear();
    await node.docker("network", "rm", "plain");
  });

  it("repairs within seconds what a firewall reload takes away, and leaves Docker's own policy in place", async () => {
    await node.run("web", "--network", "dcos", "-p", "8080:80");
    await node.machine.script("iptables -F FORWARD; nft delete table ip dcos_host_ports");
    await node.machine.script("ip link set d-dcos down; ip address flush dev d-dcos");
    const curl = ["ip", "netns", "exec", "internet", "curl", "--silent", "--max-time", "1", `http://${NODE.v4}:8080`];
    await node.until("the host port works", async () => (await node.machine.run(curl)).stdout.trim() === "web");
    expect(await node.machine.must(["iptables", "-S", "FORWARD"])).to.include("-P FORWARD DROP");
    expect(await node.pings("web", "9.0.1.1")).to.equal(true);
  });

  it("carries traffic again after the whole firewall was flushed, Docker restarted, and the policy set again", async () => {
    await node.machine.must(["nft", "flush", "ruleset"]);
    await node.stopEngine();
    await node.startEngine();
    await node.machine.must(["iptables", "-P", "FORWARD", "DROP"]);
    await node.run("web", "--network", "dcos", "-p", "8080:80");
    await node.until("the other node is reached", () => node.pings("web", "9.0.1.1"));
    await node.until("and over IPv6", () => node.pings("web", "fd01:b::1:0:0:1"));
    const curl = ["ip", "netns", "exec", "internet", "curl", "--silent", "--max-time", "1", `http://${NODE.v4}:8080`];
    await node.until("the host port works", async () => (await node.machine.run(curl)).stdout.trim() === "web");
    expect(await node.machine.must(["iptables", "-S", "FORWARD"])).to.include("-P FORWARD DROP");
  });

  it("starts and removes many containers, eight at a time, and leaves nothing", async function () {
    this.timeout(500_000);
    const rate = async (network: string, count: number): Promise<number> => {
      const start = performance.now();
      await node.machine.script(
        `seq ${count} | xargs -P 8 -I N docker -H unix:///run/docker.sock run --rm --network ${network} ${IMAGE} busybox true`,
        { timeoutMs: 240_000 },
      );
      return (count * 1000) / (performance.now() - start);
    };
    // With both families, as ours: IPv6 doubles the time that the engine itself takes for a container.
    await node.docker("network", "create", "--ipv6", "--subnet", "fd99::/64", "plain");
    const count = engine === DOCKER ? 100 : 40;
    const [ours, bridge] = [await rate("dcos", count), await rate("plain", count / 2)];
    await node.docker("network", "rm", "plain");
    console.log(`      ${ours.toFixed(2)} containers a second; ${bridge.toFixed(2)} on Docker's own bridge driver`);
  });
});
