import type { Recording } from "./cases.ts";

/** A namespace with something of every noun in it. */
export const REPLY_SETUP: readonly string[] = [
  "ip link set lo up",
  "ip link add br0 type bridge",
  "ip link add v0 address 0a:00:00:00:00:01 type veth peer name v1 address 0a:00:00:00:00:02",
  "ip link set v0 alias text master br0 up",
  "ip link set v1 up promisc on",
  "ip link set v0 type bridge_slave hairpin on isolated on",
  "ip link set br0 up",
  "ip link add vx0 address 0a:00:00:00:00:03 type vxlan id 1024 dstport 64000 local 192.0.2.1 nolearning",
  "ip link set vx0 up",
  "ip address add 10.1.0.1/24 broadcast 10.1.0.255 dev br0",
  "ip address add fd00::1/64 dev br0 nodad",
  "ip route add 10.8.0.0/16 via 10.1.0.2 src 10.1.0.1 metric 7 mtu 1400 advmss 1360",
  "ip route add default via 192.0.2.7 dev br0 onlink",
  "ip -6 route add fd08::/64 via fd00::2",
  "ip -6 route append fd08::/64 via fd00::3",
  "ip route add blackhole 10.9.0.0/16",
  "ip rule add from 9.0.0.0/8 to 10.0.0.0/8 priority 100 lookup 1000",
  "ip neighbor add 44.128.0.2 lladdr 0a:00:00:00:00:04 nud permanent dev vx0",
  "ip neighbor add fd01::2 lladdr 0a:00:00:00:00:05 nud permanent dev vx0",
  "bridge fdb add 0a:00:00:00:00:04 dst 192.0.2.2 self permanent dev vx0",
];

/** A command, and the type of the messages in the answer that it is about. */
export interface Question {
  readonly command: string;
  readonly type: number;
}

/** Commands that make the kernel list each noun, and one that it refuses with a text (NLMSG_ERROR). */
export const QUESTIONS: readonly Question[] = [
  { command: "ip link show", type: 16 },
  { command: "ip address show", type: 20 },
  { command: "ip -4 route show table all", type: 24 },
  { command: "ip -6 route show table all", type: 24 },
  { command: "ip -4 rule show", type: 32 },
  { command: "ip neighbor show", type: 28 },
  { command: "bridge fdb show dev vx0", type: 28 },
  { command: "ip link set v0 mtu 67", type: 2 },
];

/** What the kernel answered: datagrams, each of one or more netlink messages, in hexadecimal digits. */
export interface Replies {
  /** As `uname -r` prints it. */
  readonly kernel: string;
  readonly replies: readonly Recording[];
}
