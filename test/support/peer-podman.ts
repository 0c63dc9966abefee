import type { Machine } from "./peer-machine.ts";

// The limits are named because podman otherwise asks for higher ones than a caller without CAP_SYS_RESOURCE may set.
const CONTAINERS_CONF = `
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`;

const STORAGE_CONF = `
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
`;

/** Configures podman on a machine of its own, with CNI as its network. */
export async function configurePodman(machine: Machine): Promise<void> {
  await machine.write("/etc/containers/containers.conf", CONTAINERS_CONF);
  await machine.write("/etc/containers/storage.conf", STORAGE_CONF);
  await machine.write("/etc/containers/policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}');
}
