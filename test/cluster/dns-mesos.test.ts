import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { ClusterLab } from "../support/cluster-lab.ts";
import { printsLogsOfFailures } from "../support/failure-logs.ts";
import { becomes, describeLab, eventually, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";

const STATE_SERVER = fileURLToPath(new URL("../support/mesos-state-server.ts", import.meta.url));
const MASTER = "10.77.0.1:5050";

describeLab("the names of Mesos-DNS, made by the master of three hosts", function () {
  this.timeout(TEST_LIMIT_MS);
  const cluster = new ClusterLab();
  const { labs } = cluster;
  let master: Bun.Subprocess | undefined;

  before(async () => {
    await sweepLabs();
    await cluster.up("--nodes", "3");
    const [hostname = "", port = ""] = MASTER.split(":");
    master = labs.spawn("lab", "exec", "--node", "1", "--", process.execPath, STATE_SERVER, hostname, port);
    cluster.configure(1, { ...cluster.config(1), mesos_dns: "on", mesos_master: `http://${MASTER}` });
    await cluster.signal(1, "SIGTERM");
    await cluster.start(1);
    await labs.ok("lab", "run", "--node", "2", "--name", "client", "--", "sleep", "1h");
  });
  printsLogsOfFailures(() => labs.logs());
  after(async () => {
    master?.kill();
    await labs.clear();
  });

  const dig = (...query: string[]) =>
    cluster.inContainer("client", "dig", "@198.51.100.1", "+tries=1", "+timeout=5", ...query).catch(String);
  const short = (name: string, type = "A") => dig("+short", name, type);
  const onMaster = (...query: string[]) =>
    cluster.onHost(1, "dig", "+short", "+tries=1", "+timeout=2", ...query).catch(String);

  it("are answered by the master itself, on its own addresses and where Mesos-DNS is, under both zones", async () => {
    const ask = () => onMaster("@198.51.100.1", "nginx.marathon.mesos");
    await becomes(SOON_MS, ask, "10.1.1.1\n");
    expect(await onMaster("@10.77.0.1", "-p", "61053", "nginx.*.marathon.mesos")).to.equal("10.1.1.1\n");
    expect(await onMaster("@198.51.100.1", "nginx.marathon.mesos.thisdcos.directory")).to.equal("10.1.1.1\n");
    expect(await onMaster("@198.51.100.1", "_nginx._tcp.marathon.mesos", "SRV")).to.match(/^0 1 31000 nginx-\w+-s1\./);
    expect(await onMaster("@198.51.100.1", "leader.mesos")).to.equal("10.77.0.1\n");
  });

  it("are had from the master by containers on other hosts, with all that belongs to the answer", async () => {
    await becomes(SOON_MS, () => short("nginx.marathon.mesos"), "10.1.1.1\n");
    expect(await dig("nothing.marathon.mesos"))
      .to.match(/status: NXDOMAIN/)
      .and.to.match(/SOA\s+ns1\.mesos/);
    const config = cluster.path(2, "config.json");
    const told = await cluster.onHost(2, "dcos-net", "--config", config, "dns", "query", "nginx.marathon.mesos");
    expect(told)
      .to.match(/zone mesos/)
      .and.to.match(/10\.77\.0\.1:61053 answered/);
  });

  it("are at the HTTP API of Mesos-DNS, too", async () => {
    const url = "http://127.0.0.1:8123/v1/hosts/nginx.marathon.mesos";
    const answer = await cluster.onHost(1, "dcos-net", "lab", "fetch", "--json", url);
    expect(JSON.parse(answer)).to.include({ status: 200 });
  });

  it("are answered from what is kept while the master is gone, and others fail with a word of it", async () => {
    await cluster.signal(1, "SIGKILL");
    expect(await short("nginx.marathon.mesos")).to.equal("10.1.1.1\n");
    expect(await dig("other.marathon.mesos")).to.match(/status: SERVFAIL/);
    expect(await dig("ready.spartan")).to.match(/status: NOERROR/);
    await cluster.start(1);
    await eventually(
      SOON_MS,
      () => dig("other.marathon.mesos"),
      (text) => text.includes("NXDOMAIN"),
    );
  });
});
