import type { Operation } from "../../kernel/kernel.ts";
import type { OpenNetns } from "../../kernel/link.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";

/** A command of the real tools and the operation that means the same. */
export interface GoldenCase {
  /** With `ip` or `bridge` as its first word; run in a namespace that `SETUP` has prepared. The word NETNS stands
   *  for the namespace's name. */
  readonly command: string;
  readonly operation: Operation;
}

/** Made before each command, in an empty namespace: every link that a command names. */
export const SETUP: readonly string[] = [
  "ip link add br0 type bridge",
  "ip link add v0 type veth peer name v1",
  "ip link set v0 master br0",
  "ip link set v0 up",
  "ip link set v1 up",
  "ip link set br0 up",
  "ip link add vx0 type vxlan id 1 dstport 64000 local 192.0.2.1",
  "ip link set vx0 up",
  "ip address add 10.1.0.1/24 dev br0",
  "ip address add fd00::1/64 dev br0 nodad",
];

/** An open namespace: the encoder looks at its descriptor only, whose number differs from process to process. */
const NETNS: OpenNetns = { path: "NETNS", id: "", descriptor: 99, close: () => undefined };

const MAC = "02:00:00:00:00:05";

function route(
  verb: "add" | "append" | "replace" | "delete",
  fields: Extract<Operation, { do: "route.add" }>["route"],
) {
  return { do: `route.${verb}`, route: fields } as const;
}

/** Every operation, with every field that its message can carry. `dev` comes last where the tools ask for it. */
export const CASES: readonly GoldenCase[] = [
  {
    command: "ip link add new0 type bridge",
    operation: { do: "link.add", link: { kind: "bridge", name: "new0" } },
  },
  {
    command: `ip link add new0 mtu 1400 address ${MAC} up type bridge`,
    operation: { do: "link.add", link: { kind: "bridge", name: "new0", mtu: 1400, mac: MAC, up: true } },
  },
  {
    command: "ip link add new0 type bridge vlan_filtering 1",
    operation: { do: "link.add", link: { kind: "bridge", name: "new0", vlanFiltering: true } },
  },
  {
    command: "ip link add new0 type dummy",
    operation: { do: "link.add", link: { kind: "dummy", name: "new0" } },
  },
  {
    command: `ip link add new0 mtu 1400 type veth peer name new1 address ${MAC} mtu 1300`,
    operation: {
      do: "link.add",
      link: { kind: "veth", name: "new0", mtu: 1400, peer: { name: "new1", mac: MAC, mtu: 1300 } },
    },
  },
  {
    command: "ip link add new0 type vxlan id 1024 dstport 4789 nolearning ttl 0 local 192.0.2.9",
    operation: {
      do: "link.add",
      link: { kind: "vxlan", name: "new0", vni: 1024, port: 4789, learning: false, local: parseIp("192.0.2.9") },
    },
  },
  {
    command: "ip link add new0 type vxlan id 1024 dstport 4789 learning ttl 0 local fd00::1 udpcsum",
    operation: {
      do: "link.add",
      link: {
        kind: "vxlan",
        name: "new0",
        vni: 1024,
        port: 4789,
        learning: true,
        local: parseIp("fd00::1"),
        udpChecksum: true,
      },
    },
  },
  { command: "ip link set v0 up", operation: { do: "link.set", dev: "v0", set: { up: true } } },
  { command: "ip link set v0 down", operation: { do: "link.set", dev: "v0", set: { up: false } } },
  { command: "ip link set v0 mtu 1300", operation: { do: "link.set", dev: "v0", set: { mtu: 1300 } } },
  { command: `ip link set v0 address ${MAC}`, operation: { do: "link.set", dev: "v0", set: { mac: MAC } } },
  { command: "ip link set v0 name new0", operation: { do: "link.set", dev: "v0", set: { name: "new0" } } },
  { command: "ip link set v0 alias text", operation: { do: "link.set", dev: "v0", set: { alias: "text" } } },
  { command: "ip link set v1 master br0", operation: { do: "link.set", dev: "v1", set: { master: "br0" } } },
  { command: "ip link set v0 nomaster", operation: { do: "link.set", dev: "v0", set: { master: null } } },
  { command: "ip link set v0 promisc on", operation: { do: "link.set", dev: "v0", set: { promiscuous: true } } },
  { command: "ip link set v0 promisc off", operation: { do: "link.set", dev: "v0", set: { promiscuous: false } } },
  {
    command: "ip link set v0 netns NETNS",
    operation: { do: "link.set", dev: "v0", set: { netns: NETNS } },
  },
  {
    command: "ip link add new0 type veth peer name eth0 netns NETNS",
    operation: { do: "link.add", link: { kind: "veth", name: "new0", peer: { name: "eth0", netns: NETNS } } },
  },
  { command: "ip link delete v0", operation: { do: "link.delete", dev: "v0" } },
  {
    command: "ip link set v0 type bridge_slave hairpin on isolated on",
    operation: { do: "port.set", dev: "v0", set: { hairpin: true, isolated: true } },
  },
  {
    command: "ip link set v0 type bridge_slave hairpin off",
    operation: { do: "port.set", dev: "v0", set: { hairpin: false } },
  },
  {
    command: "bridge vlan add vid 10 pvid untagged dev v0",
    operation: { do: "vlan.add", dev: "v0", vid: 10, pvid: true, untagged: true },
  },
  {
    command: "bridge vlan add vid 10 dev br0 self",
    operation: { do: "vlan.add", dev: "br0", vid: 10, pvid: false, untagged: false },
  },
  { command: "bridge vlan delete vid 10 dev v0", operation: { do: "vlan.delete", dev: "v0", vid: 10 } },
  {
    command: "ip address add 10.2.0.5/16 broadcast 10.2.255.255 scope link dev v1",
    operation: {
      do: "address.add",
      address: {
        dev: "v1",
        address: parsePrefix("10.2.0.5/16"),
        broadcast: parseIp("10.2.255.255"),
        scope: "link",
      },
    },
  },
  {
    command: "ip address add fd02::5/64 nodad dev v1",
    operation: { do: "address.add", address: { dev: "v1", address: parsePrefix("fd02::5/64"), noDad: true } },
  },
  {
    command: "ip address replace 10.2.0.5/16 dev v1",
    operation: { do: "address.replace", address: { dev: "v1", address: parsePrefix("10.2.0.5/16") } },
  },
  {
    command: "ip address delete 10.1.0.1/24 dev br0",
    operation: { do: "address.delete", address: { dev: "br0", address: parsePrefix("10.1.0.1/24") } },
  },
  {
    command: "ip address delete fd00::1/64 dev br0",
    operation: { do: "address.delete", address: { dev: "br0", address: parsePrefix("fd00::1/64") } },
  },
  {
    command: "ip route add 10.8.0.0/16 dev v1",
    operation: route("add", { dst: parsePrefix("10.8.0.0/16"), dev: "v1" }),
  },
  {
    command: "ip route add 10.8.0.0/16 via 10.1.0.2 src 10.1.0.1 metric 7 mtu 1400 advmss 1360 table 42 protocol 99",
    operation: route("add", {
      dst: parsePrefix("10.8.0.0/16"),
      gateway: parseIp("10.1.0.2"),
      source: parseIp("10.1.0.1"),
      priority: 7,
      mtu: 1400,
      advmss: 1360,
      table: 42,
      protocol: 99,
    }),
  },
  {
    command: "ip route add default via 192.0.2.7 dev br0 onlink",
    operation: route("add", {
      dst: parsePrefix("0.0.0.0/0"),
      gateway: parseIp("192.0.2.7"),
      dev: "br0",
      onlink: true,
    }),
  },
  {
    command: "ip route add 10.8.0.0/16 dev v1 scope host table 1000",
    operation: route("add", { dst: parsePrefix("10.8.0.0/16"), dev: "v1", scope: "host", table: 1000 }),
  },
  {
    command: "ip route replace local 11.0.0.1/32 dev v1 table local",
    operation: route("replace", { dst: parsePrefix("11.0.0.1/32"), dev: "v1", local: true, table: 255 }),
  },
  {
    command: "ip -6 route replace local fd01:c::1/128 dev v1 table local",
    operation: route("replace", { dst: parsePrefix("fd01:c::1/128"), dev: "v1", local: true, table: 255 }),
  },
  {
    command: "ip route append 10.1.0.0/24 dev v1",
    operation: route("append", { dst: parsePrefix("10.1.0.0/24"), dev: "v1" }),
  },
  {
    command: "ip route replace 10.8.0.0/16 via 10.1.0.2",
    operation: route("replace", { dst: parsePrefix("10.8.0.0/16"), gateway: parseIp("10.1.0.2") }),
  },
  {
    command: "ip route delete 10.1.0.0/24 dev br0",
    operation: route("delete", { dst: parsePrefix("10.1.0.0/24"), dev: "br0" }),
  },
  {
    command: "ip -6 route add fd08::/64 via fd00::2 metric 7",
    operation: route("add", { dst: parsePrefix("fd08::/64"), gateway: parseIp("fd00::2"), priority: 7 }),
  },
  {
    command: "ip -6 route replace default via fe80::1 dev v1",
    operation: route("replace", { dst: parsePrefix("::/0"), gateway: parseIp("fe80::1"), dev: "v1" }),
  },
  {
    command: "ip -6 route delete fd00::/64 dev br0",
    operation: route("delete", { dst: parsePrefix("fd00::/64"), dev: "br0" }),
  },
  {
    command: "ip rule add from 9.0.0.0/8 lookup 42",
    operation: { do: "rule.add", rule: { family: 4, from: parsePrefix("9.0.0.0/8"), table: 42 } },
  },
  {
    command: "ip rule add from 9.0.0.0/8 to 10.0.0.0/8 priority 100 lookup 1000",
    operation: {
      do: "rule.add",
      rule: { family: 4, from: parsePrefix("9.0.0.0/8"), to: parsePrefix("10.0.0.0/8"), priority: 100, table: 1000 },
    },
  },
  {
    command: "ip -6 rule add from fd01::/64 lookup 42",
    operation: { do: "rule.add", rule: { family: 6, from: parsePrefix("fd01::/64"), table: 42 } },
  },
  {
    command: "ip rule delete from 9.0.0.0/8 lookup 42",
    operation: { do: "rule.delete", rule: { family: 4, from: parsePrefix("9.0.0.0/8"), table: 42 } },
  },
  {
    command: `ip neighbor add 44.128.0.2 lladdr ${MAC} nud permanent dev vx0`,
    operation: { do: "neighbor.add", neighbor: { dev: "vx0", ip: parseIp("44.128.0.2"), mac: MAC, permanent: true } },
  },
  {
    command: `ip neighbor replace fd01::2 lladdr ${MAC} nud reachable dev vx0`,
    operation: { do: "neighbor.replace", neighbor: { dev: "vx0", ip: parseIp("fd01::2"), mac: MAC, permanent: false } },
  },
  {
    command: "ip neighbor delete 44.128.0.2 dev vx0",
    operation: { do: "neighbor.delete", neighbor: { dev: "vx0", ip: parseIp("44.128.0.2") } },
  },
  {
    command: `bridge fdb add ${MAC} dst 192.0.2.2 self permanent dev vx0`,
    operation: { do: "fdb.add", entry: { dev: "vx0", mac: MAC, remote: parseIp("192.0.2.2") } },
  },
  {
    command: `bridge fdb replace ${MAC} dst 192.0.2.2 self permanent dev vx0`,
    operation: { do: "fdb.replace", entry: { dev: "vx0", mac: MAC, remote: parseIp("192.0.2.2") } },
  },
  {
    command: `bridge fdb delete ${MAC} dst 192.0.2.2 self permanent dev vx0`,
    operation: { do: "fdb.delete", entry: { dev: "vx0", mac: MAC, remote: parseIp("192.0.2.2") } },
  },
];

/** What was recorded of a case. */
export interface Recording {
  readonly command: string;
  /** The message that changes something, from nlmsghdr on, in hexadecimal digits. */
  readonly hex: string;
}

export interface Recordings {
  /** What `ip -V` and `bridge -V` print. */
  readonly versions: readonly string[];
  /** Numbers of the links that `SETUP` makes. */
  readonly links: Readonly<Record<string, number>>;
  readonly recordings: readonly Recording[];
}
