import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel, Netns, Operation } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";
import { eventually } from "../kernel/fixture.ts";
import { Namespaces } from "./namespaces.ts";

/** A node with two containers on its bridge, and a machine behind it with the other backends. The node has no default
 *  route: whatever leads to a virtual IP is the data plane's.
 *
 *      client 10.77.0.5, fd77::5 ─┐
 *                                 br0 10.77.0.1, fd77::1 ─ node ─ 10.88.0.1, fd88::1 ─┐
 *      job    10.77.0.6, fd77::6 ─┘                                                   │
 *                                           far 10.88.0.11 … 13, fd88::11 … fd88::13 ─┘ */
export interface VipNetwork {
  readonly node: Kernel;
  readonly client: Kernel;
  readonly job: Kernel;
  readonly far: Kernel;
  /** Where the namespace of `client` is mounted. */
  readonly clientPath: string;
  close(): void;
}

/** Addresses of the machines, by family; `gateway` is the node's towards the machine behind it. */
export const ADDRESS = {
  4: {
    node: "10.77.0.1",
    gateway: "10.88.0.1",
    client: "10.77.0.5",
    job: "10.77.0.6",
    far: ["10.88.0.11", "10.88.0.12", "10.88.0.13"],
  },
  6: {
    node: "fd77::1",
    gateway: "fd88::1",
    client: "fd77::5",
    job: "fd77::6",
    far: ["fd88::11", "fd88::12", "fd88::13"],
  },
} as const;

/** The port of all servers. */
export const BACKEND_PORT = 8080;

/** Makes the network by the kernel interface alone, so that it comes up wherever Bun runs as root. */
export function openVipNetwork(): VipNetwork {
  const folder = mkdtempSync(join(tmpdir(), "dcos-net-vip-"));
  const machine = openLinux();
  const namespaces = new Namespaces(machine, folder);
  const close = (): void => {
    namespaces.close();
    machine.close();
    rmSync(folder, { recursive: true });
  };
  const space = (name: string): { readonly kernel: Kernel; readonly netns: Netns } => {
    const { kernel, netns } = namespaces.open(name);
    // Duplicate address detection would keep link-local addresses, and with them all of IPv6, waiting for a second.
    kernel.setSysctl("net/ipv6/conf/default/accept_dad", "0");
    kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
    return { kernel, netns };
  };
  try {
    const [node, client, job, far] = [space("node"), space("client"), space("job"), space("far")];
    build(node.kernel, { vclient: client.netns, vjob: job.netns, vfar: far.netns });
    attach(client.kernel, ["10.77.0.5/24", "fd77::5/64"], ["10.77.0.1", "fd77::1"]);
    attach(job.kernel, ["10.77.0.6/24", "fd77::6/64"], ["10.77.0.1", "fd77::1"]);
    const behind = [11, 12, 13].flatMap((host) => [`10.88.0.${host}/24`, `fd88::${host}/64`]);
    attach(far.kernel, behind, ["10.88.0.1", "fd88::1"]);
    const kernels = { node: node.kernel, client: client.kernel, job: job.kernel, far: far.kernel };
    eventually(() => ready(Object.values(kernels)));
    return { ...kernels, clientPath: `${folder}/client`, close };
  } catch (error) {
    close();
    throw error;
  }
}

function build(node: Kernel, ends: Readonly<Record<"vclient" | "vjob" | "vfar", Netns>>): void {
  const pairs = Object.entries(ends).map(
    ([name, netns]): Operation => ({
      do: "link.add",
      link: { kind: "veth", name, up: true, peer: { name: "eth0", netns } },
    }),
  );
  node.apply([
    { do: "link.add", link: { kind: "bridge", name: "br0", up: true } },
    ...pairs,
    ...["vclient", "vjob"].flatMap((dev): Operation[] => [
      { do: "link.set", dev, set: { master: "br0" } },
      { do: "port.set", dev, set: { hairpin: true } },
    ]),
    ...addresses("br0", ["10.77.0.1/24", "fd77::1/64"]),
    ...addresses("vfar", ["10.88.0.1/24", "fd88::1/64"]),
  ]);
  // Bridged packets would pass the firewall too, which hides a neighbour's answer that misses the node.
  setBridgedFirewall(node, false);
  node.setSysctl("net/ipv4/ip_forward", "1");
  node.setSysctl("net/ipv6/conf/all/forwarding", "1");
}

/** Whether what the node's bridge carries from one container to another passes the node's firewall, as Docker wants it.
 *  False when the kernel has no such setting, because br_netfilter isn't there: then nothing bridged passes it. */
export function setBridgedFirewall(node: Kernel, passes: boolean): boolean {
  const paths = ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"];
  const present = paths.filter((path) => node.sysctl(path) !== undefined);
  for (const path of present) node.setSysctl(path, passes ? "1" : "0");
  return present.length === paths.length;
}

function attach(machine: Kernel, own: readonly string[], gateways: readonly string[]): void {
  machine.apply([
    { do: "link.set", dev: "eth0", set: { up: true } },
    ...addresses("eth0", own),
    ...gateways.map((gateway): Operation => {
      const dst = parsePrefix(gateway.includes(":") ? "::/0" : "0.0.0.0/0");
      return { do: "route.add", route: { dst, gateway: parseIp(gateway) } };
    }),
  ]);
}

function addresses(dev: string, texts: readonly string[]): Operation[] {
  return texts.map((text) => ({
    do: "address.add",
    address: { dev, address: parsePrefix(text), ...(text.includes(":") ? { noDad: true } : {}) },
  }));
}

function ready(kernels: readonly Kernel[]): void {
  for (const kernel of kernels) {
    for (const { name, running, bridgePort } of kernel.links()) {
      if (!running || bridgePort?.forwarding === false) throw new Error(`${name} isn't ready`);
    }
    if (kernel.addresses().some(({ tentative }) => tentative)) throw new Error("an address is still tentative");
  }
}
