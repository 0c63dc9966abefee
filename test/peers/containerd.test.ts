import { setTimeout as pause } from "node:timers/promises";
import { nameServer, ROOTFS, writeImage } from "../support/peer-image.ts";
import { Machine, type Ran } from "../support/peer-machine.ts";
import { describePeer, PLUGINS } from "../support/peer-needs.ts";
import { networkCases } from "../support/peer-networks.ts";
import { type Container, type Runtime, runtimeCases } from "../support/peer-runtime.ts";

const SOCKET = "/run/containerd/containerd.sock";

const CONFIG = `
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "${SOCKET}"
`;

async function openContainerd(bare: string, published: string): Promise<Runtime> {
  const machine = await Machine.start(PLUGINS);
  await machine.write("/etc/containerd/config.toml", CONFIG);
  await writeImage(machine);
  await machine.start([
    "sh",
    "-c",
    "echo started; exec containerd --config /etc/containerd/config.toml --log-level error",
  ]);
  await eventually(() => ctr(machine, ["version"]));
  const attempts = new Map<string, Promise<Ran>>();
  return {
    machine,
    run: async (name, isPublished) => {
      // ctr reads the first list of the default directory at each run, and has no option to publish ports.
      await machine.write("/etc/cni/net.d/peer.conflist", isPublished ? published : bare);
      const rootfs = `/run/test/${name}`;
      await machine.script(`rm -rf ${rootfs}; cp -a ${ROOTFS} ${rootfs}`);
      // Attached: only then ctr calls DEL, after the container has ended.
      const attempt = machine.run(
        [
          "ctr",
          "run",
          "--rm",
          "--cni",
          "--cgroup",
          `/${machine.cgroup}/${name}`,
          "--env",
          "PATH=/bin",
          "--rootfs",
          rootfs,
          name,
          ...nameServer(name),
        ],
        { timeoutMs: 120_000 },
      );
      attempts.set(name, attempt);
      return Promise.race([eventually(() => find(machine, name)), attempt.then(failed)]);
    },
    exec: (container, argv) =>
      ctr(machine, ["task", "exec", "--exec-id", `x${crypto.randomUUID()}`, container.name, ...argv]),
    restart: () => Promise.reject(new Error("ctr starts no container again with CNI")),
    remove: async (container) => {
      await ctr(machine, ["task", "kill", "--signal", "SIGKILL", container.name]);
      const ended = await attempts.get(container.name);
      if (ended?.stderr !== "") throw new Error(`ctr run said while removing: ${ended?.stderr}`);
    },
    stop: () => machine.stop(),
  };
}

function ctr(machine: Machine, argv: readonly string[]): Promise<string> {
  return machine.must(["ctr", "--address", SOCKET, ...argv]);
}

function failed({ code, stderr }: Ran): never {
  throw new Error(`ctr run ended early with ${code}: ${stderr}`);
}

/** The container once it runs and has its address. */
async function find(machine: Machine, name: string): Promise<Container> {
  const tasks = await ctr(machine, ["task", "list"]);
  const [, pid] = new RegExp(`^${name}\\s+(\\d+)\\s+RUNNING`, "m").exec(tasks) ?? [];
  if (pid === undefined) throw new Error(`no running task ${name} in: ${tasks}`);
  await machine.script(`nsenter --net=/proc/${pid}/ns/net ip -6 address show dev eth0 scope global | grep -q inet6`);
  return { name, id: `default-${name}`, pid: Number(pid) };
}

/** The value of `attempt` once it succeeds, trying for thirty seconds. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(50);
    }
  }
}

describePeer("containerd", { programs: ["containerd", "ctr", "runc", "busybox", "curl"] }, function () {
  this.timeout(180_000);
  const published = networkCases("1.0.0", true);
  for (const [index, { title, conflist }] of networkCases("1.0.0", false).entries()) {
    describe(`with ${title}`, () => {
      runtimeCases({ restarts: false, lateDel: true }, () =>
        openContainerd(conflist, published[index]?.conflist ?? conflist),
      );
    });
  }
});
