import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { NOTRACK_TABLE } from "../../dns/notrack.ts";
import { ClusterLab } from "../support/cluster-lab.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { becomes, describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";

const DIRECTORY = "thisdcos.directory";
const LOAD = fileURLToPath(new URL("../support/dns-load.ts", import.meta.url));
const TCP_LOAD = fileURLToPath(new URL("../support/dns-load-tcp.ts", import.meta.url));

describeLab("names in a cluster of three hosts", function () {
  this.timeout(TEST_LIMIT_MS);
  const cluster = new ClusterLab();
  const { labs } = cluster;

  before(async () => {
    await sweepLabs();
    const overlays = ["dcos=9.0.0.0/8,fd01:b::/64", "shop=10.91.0.0/16,fd00:91::/64,isolated"];
    await cluster.up("--nodes", "3", ...overlays.flatMap((overlay) => ["--overlay", overlay]));
    await labs.ok("lab", "run", "--node", "1", "--name", "web", "--", "sleep", "1h");
    await labs.ok("lab", "run", "--node", "2", "--name", "client", "--", "sleep", "1h");
  });
  printsLogsOfFailures(() => labs.logs());
  after(() => labs.clear());

  const digIn = (container: string, server: string, ...query: string[]) =>
    cluster.inContainer(container, "dig", "+short", "+tries=1", "+timeout=2", `@${server}`, ...query);
  const lookUp = (container: string, name: string, type = "A", server = "198.51.100.1") =>
    digIn(container, server, name, type).catch(String);
  const web = `web.lab.containerip.dcos.${DIRECTORY}`;

  it("are resolved in a container, on each of the addresses, over UDP and TCP", async () => {
    const v4 = await cluster.addressOf("web");
    await becomes(SOON_MS, () => lookUp("client", web), `${v4}\n`);
    for (const server of ["198.51.100.1", "198.51.100.2", "198.51.100.3", "fd01:d::c633:6401"]) {
      for (const how of ["+nocookie", "+notcp", "+tcp"]) {
        expect(await digIn("client", server, how, web), `${server} ${how}`).to.equal(`${v4}\n`);
        expect(await digIn("client", server, how, web, "AAAA")).to.match(/^fd01:b:/);
      }
    }
  });

  it("are resolved in a container of an isolated overlay, too", async () => {
    const run = ["lab", "run", "--node", "2", "--name", "lone", "--overlay", "shop", "--", "sleep", "1h"];
    await labs.ok(...run);
    for (const server of ["198.51.100.1", "fd01:d::c633:6401"]) {
      for (const how of ["+notcp", "+tcp"]) {
        expect(await digIn("lone", server, how, web), `${server} ${how}`).to.equal(
          `${await cluster.addressOf("web")}\n`,
        );
      }
    }
    await labs.ok("lab", "stop", "--name", "lone");
  });

  it("tell the masters, the node that is asked, and that the server is ready", async () => {
    expect(await lookUp("client", `master.dcos.${DIRECTORY}`)).to.equal("10.77.0.1\n");
    expect(await lookUp("client", `thisnode.${DIRECTORY}`)).to.equal("10.77.0.2\n");
    expect(await lookUp("web", `thisnode.${DIRECTORY}`)).to.equal("10.77.0.1\n");
    expect(await lookUp("client", "zk-2.zk")).to.equal("10.77.0.1\n");
    expect(await lookUp("client", "ready.spartan", "ANY")).to.equal("127.0.0.1\n");
  });

  it("lead back from an address to the name", async () => {
    expect(await digIn("client", "198.51.100.1", "-x", await cluster.addressOf("web"))).to.equal(`${web}.\n`);
  });

  it("have an address for each instance, and follow those that come and go", async () => {
    const many = `many.lab.autoip.dcos.${DIRECTORY}`;
    for (const [node, name] of [
      ["1", "many-a"],
      ["3", "many-b"],
    ] as const)
      await labs.ok("lab", "run", "--node", node, "--name", name, "--task", "many", "--", "sleep", "1h");
    const lines = async () => (await lookUp("client", many)).trim().split("\n").sort();
    const addresses = [await cluster.addressOf("many-a"), await cluster.addressOf("many-b")];
    await eventually(SOON_MS, lines, (found) => found.join() === [...addresses].sort().join());
    await labs.ok("lab", "stop", "--name", "many-a");
    await eventually(SOON_MS, lines, (found) => found.join() === addresses[1]);
    await labs.ok("lab", "stop", "--name", "many-b");
    await eventually(SOON_MS, lines, (found) => found.join() === "");
  });

  it("are answered without an entry in connection tracking, which other packets of the container get", async () => {
    await lookUp("client", web);
    await cluster.inContainer("client", "dig", "+tries=1", "+timeout=1", "@10.77.0.1", "-p", "5354", web).catch(String);
    const tracked = await cluster.onHost(2, "conntrack", "-L", "-p", "udp");
    expect(tracked)
      .to.match(/dport=5354\b/)
      .and.not.to.match(/dport=53\b/);
    expect(await cluster.onHost(2, "nft", "list", "table", "inet", NOTRACK_TABLE)).to.include("notrack");
  });

  for (const [object, damage] of [
    ["an address", "ip address delete 198.51.100.2/32 dev spartan"],
    ["the link", "ip link delete spartan"],
    ["the rules", `nft delete table inet ${NOTRACK_TABLE}`],
  ] as const) {
    it(`come back after somebody has deleted ${object}`, async () => {
      await cluster.onHost(2, "sh", "-c", damage);
      await eventually(
        SOON_MS,
        () => cluster.onHost(2, "nft", "list", "tables"),
        (tables) => tables.includes(NOTRACK_TABLE),
      );
      for (const server of ["198.51.100.2", "fd01:d::c633:6401"])
        await becomes(SOON_MS, () => lookUp("client", `thisnode.${DIRECTORY}`, "A", server), "10.77.0.2\n");
    });
  }

  // Names of a dead host's own tasks go with it.
  it("go on being answered when the only master is gone, and while the node's own daemon starts anew", async () => {
    await labs.ok("lab", "run", "--node", "3", "--name", "far", "--", "sleep", "1h");
    const far = [`far.lab.containerip.dcos.${DIRECTORY}`, `${await cluster.addressOf("far")}\n`] as const;
    const isAnswered = () => becomes(SOON_MS, () => lookUp("client", far[0]), far[1]);
    await isAnswered();
    await cluster.signal(1, "SIGKILL");
    await isAnswered();
    await cluster.signal(2, "SIGKILL");
    await cluster.start(2);
    await isAnswered();
    await cluster.start(1);
    await cluster.agree([1, 2, 3], 3);
    await becomes(SOON_MS, () => lookUp("client", web), `${await cluster.addressOf("web")}\n`);
  });

  it("are answered, every one of thousands of queries, while the node's own daemon is restarted twice", async () => {
    const load = labs.run("lab", "exec", "--name", "client", "--", process.execPath, LOAD, "198.51.100.1", web, "5000");
    for (const _ of [1, 2]) {
      await Bun.sleep(1000);
      await cluster.signal(2, "SIGTERM");
      await cluster.start(2);
    }
    expect(cluster.log(2).match(/"names are answered until the next agent does"/g)).to.have.length(2);
    const { stdout, stderr } = await load;
    const { sent, answered, good } = JSON.parse(stdout || stderr) as Record<string, number>;
    expect(sent).to.be.greaterThan(1000);
    expect({ answered, good }).to.deep.equal({ answered: sent, good: sent });
  });

  it("are answered over TCP, on a second connection at most, while the node's own daemon is restarted", async () => {
    const load = labs.run(
      "lab",
      "exec",
      "--name",
      "client",
      "--",
      process.execPath,
      TCP_LOAD,
      "198.51.100.1",
      web,
      "3000",
    );
    await Bun.sleep(1000);
    await cluster.signal(2, "SIGTERM");
    await cluster.start(2);
    const { stdout, stderr } = await load;
    const { sent, good } = JSON.parse(stdout || stderr) as Record<string, number>;
    expect(sent).to.be.greaterThan(200);
    expect(good).to.equal(sent);
  });

  it("are not asked of anybody by an agent with DNS switched off", async () => {
    cluster.configure(3, { ...cluster.config(3), dns: "off" });
    await cluster.signal(3, "SIGTERM");
    await cluster.start(3);
    await labs.ok("lab", "run", "--node", "3", "--name", "mute", "--", "sleep", "1h");
    expect(await lookUp("mute", web)).to.include("refused");
  });
});
