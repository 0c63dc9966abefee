import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { cgroupOf } from "../../bin/lab/cgroup.ts";
import { labLayout } from "../../bin/lab/layout.ts";
import type { LabStatus } from "../../bin/lab/status.ts";
import { eventually, Labs, mountsWith, SOON_MS, sweepLabs, TEST_LIMIT_MS } from "../support/lab.ts";
import { imageScript, nameServer } from "../support/peer-image.ts";
import { describePeer } from "../support/peer-needs.ts";

const IMAGE = "busybox:test";
const NEEDS = { programs: ["dockerd", "docker", "containerd", "runc", "busybox", "ping", "bridge"] };
const ADDRESSES = '{{with index .NetworkSettings.Networks "dcos"}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}';
const CGROUPS = "/sys/fs/cgroup";

/** A container of the lab: its name says by which way it came and on which host it is. */
interface Member {
  readonly name: string;
  readonly host: number;
  readonly addresses: readonly string[];
}

describePeer("two hosts with a Docker engine each", NEEDS, function () {
  this.timeout(TEST_LIMIT_MS);
  const labs = new Labs();
  const folder = mkdtempSync(join(tmpdir(), "docker-lab-"));
  const machineBefore = machinesOwn();
  let members: readonly Member[] = [];

  before(async () => {
    await sweepLabs();
    await labs.ok("lab", "up", "--nodes", "2", "--docker");
    const tar = join(folder, "rootfs.tar");
    await Bun.$`sh -ec ${imageScript(join(folder, "rootfs"), tar)}`.quiet();
    for (const host of [1, 2]) await docker(host, "import", tar, IMAGE);
    members = await Promise.all([dockerContainer(1), dockerContainer(2), cniContainer(1), cniContainer(2)]);
    for (const member of members) await serves(member);
  });

  after(async () => {
    await labs.clear();
    rmSync(folder, { recursive: true });
    expect(mountsWith(labs.root), "mounts").to.deep.equal([]);
    expect(controlGroups(cgroupOf(labLayout(labs.root, "lab"), "")), "control groups").to.deep.equal([]);
  });

  const onHost = (host: number, ...command: string[]) =>
    labs.ok("lab", "exec", "--node", String(host), "--", ...command);
  const docker = async (host: number, ...args: string[]) => (await onHost(host, "docker", ...args)).trim();

  async function dockerContainer(host: number): Promise<Member> {
    const name = `docker${host}`;
    const ports = ["--publish", "8080:80"];
    await docker(host, "run", "--detach", "--name", name, "--network", "dcos", ...ports, IMAGE, ...nameServer(name));
    const addresses = (await docker(host, "inspect", "--format", ADDRESSES, name)).split(" ");
    return { name, host, addresses };
  }

  async function cniContainer(host: number): Promise<Member> {
    const name = `cni${host}`;
    const serve = ["dcos-net", "lab", "serve", "--port", "80", "--text", name];
    await labs.ok("lab", "run", "--node", String(host), "--name", name, "--", ...serve);
    const { containers } = await labs.json<LabStatus>("lab", "status");
    return { name, host, addresses: containers.find((each) => each.name === name)?.addresses ?? [] };
  }

  /** Output of a command in a container. */
  const within = ({ name, host }: Member, ...command: string[]) =>
    name.startsWith("docker")
      ? docker(host, "exec", name, ...command)
      : labs.ok("lab", "exec", "--name", name, "--", ...command);

  /** What the HTTP server at an address answers, asked from a container. */
  async function fetchFrom(member: Member, address: string): Promise<string> {
    const script = `printf 'GET / HTTP/1.0\\r\\nHost: peer\\r\\n\\r\\n' | busybox nc -w 3 ${address} 80`;
    return within(member, "sh", "-c", script);
  }

  /** Waits until a container's server listens. */
  async function serves(member: Member): Promise<void> {
    const ask = () => fetchFrom(member, addressOf(member, 4)).catch(String);
    await eventually(SOON_MS, ask, (answer) => answer.includes(member.name));
  }

  it("gives Docker's containers the upper half of each host's subnet, where CNI's have the lower", () => {
    const places = members.map(({ addresses }) => {
      const [, subnet, last] = /^(9\.0\.\d+)\.(\d+)$/.exec(addresses[0] ?? "") ?? [];
      return { subnet, half: Number(last) < 128 ? "lower" : "upper", v6: addresses[1]?.includes(":8000:0:") };
    });
    const [one, two] = places.map(({ subnet }) => subnet);
    expect(one).not.to.equal(two);
    expect(places).to.deep.equal([
      { subnet: one, half: "upper", v6: true },
      { subnet: two, half: "upper", v6: true },
      { subnet: one, half: "lower", v6: false },
      { subnet: two, half: "lower", v6: false },
    ]);
  });

  for (const family of [4, 6] as const) {
    it(`lets every container reach every other over IPv${family}, Docker's and CNI's, on both hosts`, async () => {
      const pairs = members.flatMap((from) => members.filter((to) => to !== from).map((to) => [from, to] as const));
      expect(pairs).to.have.length(12);
      for (const [from, to] of pairs) {
        const answer = await fetchFrom(from, addressOf(to, family));
        expect(answer, `${from.name} asks ${to.name}`).to.match(new RegExp(`^${to.name}$`, "m"));
        // The servers of CNI containers tell who has asked.
        const asked = to.name.startsWith("cni") ? /^client (.*)$/m.exec(answer)?.[1] : addressOf(from, family);
        expect(asked, `${to.name} is asked by ${from.name}`).to.equal(addressOf(from, family));
      }
    });
  }

  it("leads from a host's published port to the container, asked from the other host", async () => {
    for (const [from, address] of [
      [1, "10.77.0.2"],
      [2, "10.77.0.1"],
      [1, "[fd77::2]"],
      [2, "[fd77::1]"],
    ] as const) {
      const answer = await onHost(from, "dcos-net", "lab", "fetch", `http://${address}:8080/`);
      expect(answer).to.include(`docker${3 - from}`);
    }
  });

  it("knows a container with a label as a task, whose name the containers of both hosts can use", async () => {
    const labels = ["--label", "dcos.task=shop", "--network", "dcos"];
    await docker(1, "run", "--detach", "--name", "labelled", ...labels, IMAGE, "sleep", "1000");
    const addresses = (await docker(1, "inspect", "--format", ADDRESSES, "labelled")).split(" ");
    const config = join(labs.root, "lab", "n2", "config.json");
    const show = ["dcos-net", "--config", config, "task", "ls", "--json"];
    const hasAll = (text: string) => addresses.every((address) => text.includes(address));
    await eventually(
      SOON_MS,
      () => onHost(2, ...show),
      (tasks) => tasks.includes('"shop"') && hasAll(tasks),
    );
    // Docker's resolver in the container asks the agent on the container's host.
    const asked = ["busybox", "nslookup", "shop.docker.containerip.dcos.thisdcos.directory", "127.0.0.11"];
    for (const host of [1, 2]) {
      await eventually(SOON_MS, () => docker(host, "exec", `docker${host}`, ...asked).catch(String), hasAll);
    }
    await docker(1, "rm", "--force", "labelled");
  });

  it("leaves the machine's own Docker as it was", async () => {
    const groups = controlGroups(cgroupOf(labLayout(labs.root, "lab"), ""));
    expect(new Set(groups).size, "control groups of the hosts").to.equal(2);
    expect(await docker(1, "info", "--format", "{{.DockerRootDir}}")).to.equal("/run/host/data");
    expect(machinesOwn()).to.equal(machineBefore);
  });
});

/** What Docker and containerd have on the machine itself: names and times. */
function machinesOwn(): string {
  const paths = ["/run", "/etc", "/opt", "/var/lib"].flatMap((path) => [`${path}/docker`, `${path}/containerd`]);
  return Bun.spawnSync([
    "ls",
    "-lA",
    "--full-time",
    "-d",
    ...paths,
    "/etc/docker/",
    "/run/docker.sock",
  ]).stdout.toString();
}

function addressOf({ addresses }: Member, family: 4 | 6): string {
  return addresses[family === 4 ? 0 : 1] ?? "none";
}

/** Names of control groups that begin so, in all hierarchies. */
function controlGroups(prefix: string): string[] {
  const directories = [CGROUPS, ...readdirSync(CGROUPS).map((name) => join(CGROUPS, name))];
  return directories.flatMap((path) => {
    try {
      return readdirSync(path).filter((name) => name.startsWith(prefix));
    } catch {
      return [];
    }
  });
}
