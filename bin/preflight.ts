import { mkdtempSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel } from "../kernel/kernel.ts";
import type { Dataplane } from "../l4lb/dataplane.ts";
import { openIpvsDataplane } from "../l4lb/dataplanes/ipvs.ts";
import { openNftablesDataplane } from "../l4lb/dataplanes/nftables.ts";
import { parsePrefix } from "../lib/address.ts";
import { systemClock } from "../lib/clock.ts";
import { messageOf } from "../lib/error.ts";

/** Something that the program asks of the machine. */
interface Check {
  readonly name: string;
  /** What doesn't work without it. */
  readonly needed: string;
  readonly required: boolean;
  readonly remedy: string;
  /** Does it for real in a namespace that is thrown away; throws when it can't be done. */
  readonly attempt: (kernel: Kernel) => void;
}

export interface CheckResult extends Omit<Check, "attempt"> {
  readonly works: boolean;
  /** Why it doesn't. */
  readonly problem: string | undefined;
}

const CHECKS: readonly Check[] = [
  {
    name: "veth pairs",
    needed: "every container's link to its host",
    required: true,
    remedy: "load or build the kernel module veth",
    attempt: (kernel) =>
      kernel.apply([{ do: "link.add", link: { kind: "veth", name: "pf-veth0", peer: { name: "pf-veth1" } } }]),
  },
  {
    name: "bridges",
    needed: "containers of one host and overlay",
    required: true,
    remedy: "load or build the kernel module bridge",
    attempt: (kernel) => kernel.apply([{ do: "link.add", link: { kind: "bridge", name: "pf-bridge", up: true } }]),
  },
  {
    name: "VXLAN",
    needed: "traffic between hosts",
    required: true,
    remedy: "load or build the kernel module vxlan",
    attempt: (kernel) =>
      kernel.apply([
        {
          do: "link.add",
          link: { kind: "vxlan", name: "pf-vxlan", vni: 1024, port: 64_000, learning: false, up: true },
        },
      ]),
  },
  {
    name: "policy routing",
    needed: "containers reaching other hosts' own addresses through the tunnel",
    required: true,
    remedy: "use a kernel with CONFIG_IP_MULTIPLE_TABLES",
    attempt: (kernel) =>
      kernel.apply([{ do: "rule.add", rule: { family: 4, from: parsePrefix("192.0.2.0/24"), table: 42 } }]),
  },
  {
    name: "IPv4 forwarding",
    needed: "any traffic of containers beyond their bridge",
    required: true,
    remedy: "allow writing net.ipv4.ip_forward; in a container, run it privileged",
    attempt: (kernel) => kernel.setSysctl("net/ipv4/ip_forward", "1"),
  },
  {
    name: "nftables",
    needed: "host ports, masquerade, isolated overlays",
    required: true,
    remedy: "install the package libnftables1; load or build the kernel module nf_tables",
    attempt: (kernel) => kernel.nftables.run(["add table inet pf_table"]),
  },
  {
    name: "masquerade",
    needed: "containers reaching addresses outside the overlays",
    required: true,
    remedy: "load or build the kernel modules nft_masq and nf_nat",
    attempt: (kernel) =>
      kernel.nftables.run([
        "add table inet pf_masquerade",
        "add chain inet pf_masquerade out { type nat hook postrouting priority srcnat ; }",
        "add rule inet pf_masquerade out masquerade",
      ]),
  },
  {
    name: "destination translation by map",
    needed: "host ports",
    required: true,
    remedy: "load or build the kernel modules nft_nat and nft_fib_inet",
    attempt: (kernel) =>
      kernel.nftables.run([
        "add table inet pf_ports",
        "add map inet pf_ports to { type inet_proto . inet_service : ipv4_addr . inet_service ; }",
        "add chain inet pf_ports in { type nat hook prerouting priority dstnat ; }",
        "add rule inet pf_ports in fib daddr type local dnat ip to meta l4proto . th dport map @to",
      ]),
  },
  {
    name: "connection tracking list",
    needed: "UDP host ports that follow their container at once",
    required: false,
    remedy: "load or build the kernel module nf_conntrack_netlink",
    attempt: (kernel) => void kernel.conntrack.list(4),
  },
  {
    name: "IPv6",
    needed: "overlays with IPv6 addresses",
    required: false,
    remedy: "start the kernel without ipv6.disable=1",
    attempt: (kernel) => kernel.setSysctl("net/ipv6/conf/all/forwarding", "1"),
  },
  {
    name: "virtual IPs by nftables",
    needed: "l4lb nftables",
    required: false,
    remedy: "load or build the kernel modules nft_nat, nft_numgen and nft_hash, or set l4lb to socket or ipvs",
    attempt: (kernel) => tryDataplane(openNftablesDataplane(kernel, systemClock)),
  },
  {
    name: "virtual IPs by IPVS",
    needed: "l4lb ipvs",
    required: false,
    remedy: "load or build the kernel module ip_vs, or set l4lb to nftables or socket",
    attempt: (kernel) => tryDataplane(openIpvsDataplane(kernel, { release: release(), random: Math.random })),
  },
  {
    name: "bridge filter tables",
    needed: "the key macspoofchk",
    required: false,
    remedy: "load or build the kernel module nft_meta_bridge, or do without macspoofchk",
    attempt: (kernel) =>
      kernel.nftables.run([
        "add table bridge pf_mac",
        "add chain bridge pf_mac in { type filter hook prerouting priority 0 ; }",
        "add rule bridge pf_mac in ether saddr 02:00:00:00:00:01 drop",
      ]),
  },
  {
    name: "bridge VLAN filtering",
    needed: "the key vlan",
    required: false,
    remedy: "use a kernel with CONFIG_BRIDGE_VLAN_FILTERING, or do without vlan",
    attempt: (kernel) =>
      kernel.apply([
        { do: "link.add", link: { kind: "bridge", name: "pf-vlans", vlanFiltering: true } },
        { do: "vlan.add", dev: "pf-vlans", vid: 7, pvid: false, untagged: false },
      ]),
  },
];

function tryDataplane(dataplane: Dataplane): void {
  try {
    dataplane.prepare();
  } finally {
    dataplane.close();
  }
}

/** Tries everything in a namespace made for it, and says of each whether it works. Throws a NetError when not even a
 *  namespace can be made. The machine is left as it was. */
export function preflight(kernel: Kernel): CheckResult[] {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-preflight-"));
  const path = join(directory, "netns");
  try {
    kernel.createNetns(path);
    const netns = kernel.openNetns(path);
    if (netns === undefined) throw new Error(`${path} was made just now`);
    const inside = kernel.within(netns);
    try {
      return CHECKS.map((check) => judge(check, inside));
    } finally {
      inside.close();
      netns.close();
    }
  } finally {
    kernel.deleteNetns(path);
    rmSync(directory, { recursive: true });
  }
}

function judge({ attempt, ...check }: Check, kernel: Kernel): CheckResult {
  try {
    attempt(kernel);
    return { ...check, works: true, problem: undefined };
  } catch (error) {
    return { ...check, works: false, problem: messageOf(error) };
  }
}
