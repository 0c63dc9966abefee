import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { CleanupStep } from "../../bin/cleanup/remnant.ts";
import { ClusterLab } from "../support/cluster-lab.ts";
import { eventually, type Finished, sweepLabs } from "../support/lab.ts";
import { imageScript } from "../support/peer-image.ts";
import { describePeer } from "../support/peer-needs.ts";
import { openSocketPlace, type SocketPlace } from "../support/socket-place.ts";

const IMAGE = "busybox:test";
const NEEDS = { programs: ["dockerd", "docker", "containerd", "runc", "busybox", "ip", "nft"] };
/** In which a container or an agent must have come or gone, milliseconds. */
const LIMIT_MS = 30_000;

describePeer("cleaning a host up", NEEDS, function () {
  this.timeout(120_000);
  const lab = new ClusterLab();
  const folder = mkdtempSync(join(tmpdir(), "cleanup-"));
  let place: SocketPlace;

  before(async () => {
    await sweepLabs();
    place = openSocketPlace();
    await lab.up("--nodes", "1", "--docker");
    const tar = join(folder, "rootfs.tar");
    await Bun.$`sh -ec ${imageScript(join(folder, "rootfs"), tar)}`.quiet();
    await lab.onHost(1, "docker", "import", tar, IMAGE);
  });

  after(async () => {
    await lab.labs.clear();
    place.close();
    rmSync(folder, { recursive: true });
  });

  /** `variables` are as NAME=VALUE. */
  const run = (options: readonly string[] = [], variables: readonly string[] = []): Promise<Finished> => {
    const command = ["dcos-net", "--config", lab.path(1, "config.json"), "cleanup", ...options];
    const bins = ["--cni-bin-dir", join(folder, "plugins")];
    return lab.labs.run("lab", "exec", "--node", "1", "--", "env", ...variables, ...command, ...bins);
  };
  const steps = async (...options: string[]) => {
    const { status, stdout } = await run([...options, "--json"]);
    return { status, steps: JSON.parse(stdout) as readonly CleanupStep[] };
  };
  /** Links, rules, routes and nftables tables of the host, without what changes by itself. */
  const kernel = async (): Promise<string> => {
    const links = JSON.parse(await lab.onHost(1, "ip", "-json", "link")) as readonly { readonly ifname: string }[];
    const rules = await lab.onHost(1, "ip", "rule");
    const rules6 = await lab.onHost(1, "ip", "-6", "rule");
    const routes = await lab.onHost(1, "ip", "-4", "route", "show", "table", "all");
    const tables = await lab.onHost(1, "nft", "list", "tables");
    return [links.map(({ ifname }) => ifname).join(), rules, rules6, routes, tables].join("\n");
  };

  it("is refused while the agent runs", async () => {
    const { status, stderr } = await run();
    expect(status).to.equal(1);
    expect(stderr).to.match(/^dcos-net: cannot clean up this host: process \d+ is the agent there; stop it first/);
    expect((await lab.node(1)).agent.healthy).to.equal(true);
  });

  it("tells what there is, and changes nothing, in a dry run", async () => {
    await lab.labs.ok("lab", "run", "--node", "1", "--name", "web", "--publish", "8080:80", "--", "sleep", "1d");
    await lab.onHost(1, "docker", "run", "--detach", "--name", "peer", "--network", "dcos", IMAGE, "sleep", "999");
    await lab.onHost(1, "dcos-net", "cni", "install", "--dir", join(folder, "plugins"));
    await lab.signal(1, "SIGTERM");
    const before = await kernel();
    const found = await steps("--dry-run");
    expect(found.status).to.equal(0);
    expect(found.steps.map(({ what }) => what)).to.include.members([
      lab.path(1, "cni/dcos.conf"),
      lab.path(1, "cni/dcos.conflist"),
      "link vtep1024",
      "link m-dcos",
      "rule from 9.0.0.0/8 lookup 42",
      "Docker network dcos",
      "virtual IPs in data plane nftables",
      "link spartan and table inet dcos_dns",
      "table ip dcos_masquerade",
      "table ip dcos_host_ports",
      `CNI plugins in ${join(folder, "plugins")}`,
    ]);
    expect(found.steps.every(({ did }) => did === "found")).to.equal(true);
    expect(await kernel()).to.equal(before);
  });

  it("leaves what containers use, with the reason, and says so by its status", async () => {
    const { status, steps: done } = await steps("--state");
    expect(status).to.equal(1);
    expect(done.filter(({ did }) => did !== "removed").map(({ what, did }) => `${did} ${what}`)).to.deep.equal([
      "left link m-dcos",
      "left Docker network dcos",
      "left table ip dcos_masquerade",
      "left table ip6 dcos_masquerade",
      "left table ip dcos_host_ports",
      "left table ip6 dcos_host_ports",
    ]);
    expect(done.filter(({ did }) => did === "left").every(({ reason }) => reason !== undefined)).to.equal(true);
    expect(existsSync(lab.path(1, "state")), "its memory").to.equal(true);
  });

  it("takes the rest once the containers have gone, so that a last call finds nothing", async () => {
    await lab.labs.ok("lab", "stop", "--name", "web");
    await lab.start(1);
    await lab.onHost(1, "docker", "rm", "--force", "peer");
    await lab.signal(1, "SIGTERM");
    const { status, stdout } = await run(["--state"]);
    expect(stdout).to.not.match(/^(left|failed)/m);
    expect(status).to.equal(0);
    expect(existsSync(lab.path(1, "state")), "its memory").to.equal(false);
    expect((await run(["--state"])).stdout).to.equal("nothing of ours is there\n");
    expect(await kernel()).to.not.match(/vtep|m-dcos|d-dcos|spartan|minuteman|lookup 42|proto 17[12]|dcos_/);
    expect(await lab.onHost(1, "docker", "network", "ls", "--format", "{{.Name}}")).to.equal("bridge\nhost\nnone\n");
  });

  it("takes the programs of data plane socket, and with force what containers still use", async () => {
    const variables = ["L4LB=socket", `L4LB_CGROUP=${place.cgroup}`, `L4LB_BPF_DIR=${place.pins}`].map(
      (variable) => `DCOS_NET_${variable}`,
    );
    await lab.start(1, ...variables);
    const isThere = async () => existsSync(place.pins) && existsSync(lab.path(1, "cni/dcos.conflist"));
    await eventually(LIMIT_MS, isThere, (yes) => yes);
    await lab.labs.ok("lab", "run", "--node", "1", "--name", "again", "--publish", "8081:80", "--", "sleep", "1d");
    await lab.signal(1, "SIGTERM");
    const { status, stdout } = await run(["--force"], variables);
    expect(stdout).to.include("removed: virtual IPs in data plane socket");
    expect(stdout).to.include("removed: link m-dcos");
    expect(stdout).to.not.match(/^(left|failed)/m);
    expect(status).to.equal(0);
    expect(existsSync(place.pins)).to.equal(false);
    expect(await kernel()).to.not.match(/vtep|m-dcos|dcos_/);
  });
});
