import { nameServer, ROOTFS_TAR, writeImage } from "../support/peer-image.ts";
import { Machine } from "../support/peer-machine.ts";
import { describePeer, PLUGINS } from "../support/peer-needs.ts";
import { networkCases } from "../support/peer-networks.ts";
import { configurePodman } from "../support/peer-podman.ts";
import { type Container, PORTS, type Runtime, runtimeCases } from "../support/peer-runtime.ts";

const IMAGE = "localhost/peer:1";

async function openPodman(conflist: string): Promise<Runtime> {
  const machine = await Machine.start(PLUGINS);
  await configurePodman(machine);
  await machine.write("/etc/cni/net.d/peer.conflist", conflist);
  await writeImage(machine);
  await podman(machine, ["import", "--quiet", ROOTFS_TAR, IMAGE]);
  return {
    machine,
    run: async (name, published) => {
      const ports = published
        ? ["-p", `${PORTS.tcp}:${PORTS.containerTcp}`, "-p", `${PORTS.udp}:${PORTS.containerUdp}/udp`]
        : [];
      const placing = ["--network", "peer", "--cgroup-parent", `/${machine.cgroup}`, "--cap-add", "NET_RAW"];
      await podman(machine, ["run", "--detach", "--name", name, ...placing, ...ports, IMAGE, ...nameServer(name)]);
      return inspect(machine, name);
    },
    exec: (container, argv) => podman(machine, ["exec", container.name, ...argv]),
    restart: async (container) => {
      await podman(machine, ["restart", "--time", "0", container.name]);
      return inspect(machine, container.name);
    },
    remove: async (container) => {
      await podman(machine, ["rm", "--force", "--time", "0", container.name]);
    },
    stop: () => machine.stop(),
  };
}

function podman(machine: Machine, argv: readonly string[]): Promise<string> {
  return machine.must(["podman", ...argv]);
}

async function inspect(machine: Machine, name: string): Promise<Container> {
  const [id = "", pid = ""] = (await podman(machine, ["inspect", name, "--format", "{{.Id}} {{.State.Pid}}"])).split(
    " ",
  );
  return { name, id, pid: Number(pid) };
}

describePeer("podman", { programs: ["podman", "runc", "busybox", "curl"] }, function () {
  this.timeout(180_000);
  for (const { title, conflist } of networkCases("0.4.0", false)) {
    describe(`with ${title}`, () => {
      runtimeCases({ restarts: true, lateDel: false }, () => openPodman(conflist));
    });
  }
});
