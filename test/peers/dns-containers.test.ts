import { expect } from "chai";
import { describeDocker } from "../support/docker-engines.ts";
import { DockerMachine } from "../support/docker-machine.ts";
import { EXECUTABLE, eventually, SOON_MS } from "../support/lab.ts";
import { ROOTFS_TAR, writeImage } from "../support/peer-image.ts";
import { Machine, NODE } from "../support/peer-machine.ts";
import { describePeer, PLUGINS } from "../support/peer-needs.ts";
import { configurePodman } from "../support/peer-podman.ts";

/** The machine's own uplink has the first of the usual addresses. */
const SERVER = "198.51.100.3";
const NAME = "shop.web.containerip.dcos.thisdcos.directory";
const TASKS = '{"framework": "web", "tasks": [{"name": "shop", "mode": "container", "addresses": ["9.0.77.1"]}]}';

/** Starts an agent with DNS in a machine; what names it has comes from a file. */
async function startAgent(machine: Pick<Machine, "write" | "start" | "run">): Promise<void> {
  await machine.write("/etc/dcos-net/nodes.json", `{"nodes": [{"name": "node-a", "address": "${NODE.v4}"}]}`);
  await machine.write("/etc/dcos-net/tasks/web.json", TASKS);
  const settings = { dns: "on", dns_addresses: `${SERVER},fd01:d::c633:6403`, task_dir: "/etc/dcos-net/tasks" };
  await machine.write("/etc/dcos-net/config.json", JSON.stringify({ ...settings, node: "node-a" }));
  await machine.start([EXECUTABLE, "agent", "--nodes", "/etc/dcos-net/nodes.json"]);
  const ask = ["dig", "+short", "+tries=1", "+timeout=1", `@${SERVER}`, NAME];
  await eventually(
    SOON_MS,
    async () => (await machine.run(ask)).stdout,
    (text) => text === "9.0.77.1\n",
  );
}

/** What the agent's HTTP API says on the host. */
async function told(machine: Pick<Machine, "must">, path: string): Promise<unknown> {
  return JSON.parse(await machine.must(["curl", "--silent", "--fail", `http://127.0.0.1:62080${path}`]));
}

/** Every way of a container to the name: by the address, and by the resolver that the runtime has set up. */
async function resolves(inside: (...command: string[]) => Promise<string>): Promise<void> {
  expect(await inside("busybox", "nslookup", NAME, SERVER)).to.include("9.0.77.1");
  expect(await inside("busybox", "nslookup", NAME)).to.include("9.0.77.1");
  expect(await inside("busybox", "nslookup", "-type=a", "ready.spartan")).to.include("127.0.0.1");
}

describePeer("names in a podman container", { programs: ["podman", "runc", "busybox", "dig"] }, function () {
  this.timeout(180_000);
  let machine: Machine;

  before(async () => {
    machine = await Machine.start(PLUGINS);
    await configurePodman(machine);
    const config = await machine.must([EXECUTABLE, "cni", "config", "podman", "--name", "peer"]);
    await machine.write("/etc/cni/net.d/87-peer.conflist", config);
    await writeImage(machine);
    await machine.must(["podman", "import", "--quiet", ROOTFS_TAR, "localhost/peer:1"]);
    await startAgent(machine);
  });
  after(() => machine?.stop());

  it("are told by the agent's HTTP API, though its cluster is static", async () => {
    expect(await told(machine, `/v1/hosts/${NAME}`)).to.deep.equal([{ host: NAME, ip: "9.0.77.1" }]);
    expect(await told(machine, `/v1/services/_http._tcp.${NAME}`)).to.deep.equal([]);
    expect(await told(machine, "/v1/records")).to.deep.include({ name: NAME, rtype: "A", host: "9.0.77.1" });
    expect(await told(machine, "/v1/vips")).to.deep.equal([]);
    expect(await told(machine, "/v1/version")).to.include({ Service: "dcos-net" });
    const found = await machine.must([EXECUTABLE, "dns", "query", NAME]);
    expect(found).to.match(/by rule containerip .* task fact of node-a/);
    expect(await machine.must([EXECUTABLE, "dns", "zones"])).to.include("dcos.thisdcos.directory");
  });

  it("are resolved by the agent's address, and by the resolv.conf that podman writes", async () => {
    const placing = ["--network", "peer", "--cgroup-parent", `/${machine.cgroup}`, "--dns", SERVER];
    await machine.must(["podman", "run", "--detach", "--name", "c", ...placing, "localhost/peer:1", "sleep", "1000"]);
    await resolves((...command) => machine.must(["podman", "exec", "c", ...command]));
    await machine.must(["podman", "rm", "--force", "--time", "0", "c"]);
  });
});

describeDocker("names in a Docker container", ["dig"], function () {
  this.timeout(180_000);
  let docker: DockerMachine;

  before(async () => {
    docker = await DockerMachine.start();
    await startAgent(docker.machine);
  });
  after(() => docker?.stop());

  it("are resolved on the default bridge, and through Docker's own server on a user network", async () => {
    await docker.docker("network", "create", "users");
    for (const network of ["bridge", "users"]) {
      const id = await docker.run(`c-${network}`, "--network", network, "--dns", SERVER);
      const inside = (...command: string[]) => docker.docker("exec", id, ...command);
      const resolver = (await inside("cat", "/etc/resolv.conf")).match(/nameserver (\S+)/)?.[1];
      expect(resolver).to.equal(network === "users" ? "127.0.0.11" : SERVER);
      await resolves(inside);
    }
  });
});
