import { type Ip, ipBytes } from "../lib/address.ts";
import { systemCall, trySystemCall } from "./ffi.ts";
import { macBytes } from "./link.ts";

/** Constants of linux/if_packet.h and linux/if_ether.h. */
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/** ff02::1, all nodes, and the multicast hardware address that belongs to it (RFC 2464 section 7). */
const ALL_NODES = Uint8Array.from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const ALL_NODES_MAC = [0x33, 0x33, 0, 0, 0, 1];

/** Sends one announcement frame on the link with this index, in the calling thread's namespace. */
export function sendAnnouncement(index: number, mac: string, ip: Ip): void {
  const frame = ip.family === 4 ? gratuitousArp(macBytes(mac), ip) : unsolicitedAdvertisement(macBytes(mac), ip);
  const socket = systemCall("open a packet socket", "socket", AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  try {
    const address = new Uint8Array(20);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint32(4, index, true);
    systemCall(`bind to link ${index}`, "bind", socket, address, address.length);
    systemCall("announce the address", "sendto", socket, frame, frame.length, 0, null);
  } finally {
    trySystemCall("close", socket);
  }
}

/** An ARP announcement: a request in which sender and target address are both `ip` (RFC 5227 section 2.3). Unlike the
 *  kernel's arp_notify, it also makes hosts update an entry that they hold for the address' former owner. */
export function gratuitousArp(mac: Uint8Array, ip: Ip): Uint8Array {
  const address = ipBytes(ip);
  return Uint8Array.from([
    ...[...BROADCAST, ...mac, ETH_P_ARP >> 8, ETH_P_ARP & 255],
    ...[0, 1, 8, 0, 6, 4, 0, 1],
    ...[...mac, ...address],
    ...[0, 0, 0, 0, 0, 0, ...address],
  ]);
}

/** An unsolicited neighbour advertisement with the override flag, to all nodes (RFC 4861 sections 4.4 and 7.2.6). */
export function unsolicitedAdvertisement(mac: Uint8Array, ip: Ip): Uint8Array {
  const source = ipBytes(ip);
  const override = 0x20;
  const message = Uint8Array.from([136, 0, 0, 0, override, 0, 0, 0, ...source, 2, 1, ...mac]);
  const checksum = icmp6Checksum(source, ALL_NODES, message);
  message[2] = checksum >> 8;
  message[3] = checksum & 255;
  const header = [0x60, 0, 0, 0, 0, message.length, 58, 255, ...source, ...ALL_NODES];
  return Uint8Array.from([...ALL_NODES_MAC, ...mac, ETH_P_IPV6 >> 8, ETH_P_IPV6 & 255, ...header, ...message]);
}

/** One's complement sum over the pseudo header and the message (RFC 8200 section 8.1). */
function icmp6Checksum(source: Uint8Array, destination: Uint8Array, message: Uint8Array): number {
  const covered = [...source, ...destination, 0, 0, 0, message.length, 0, 0, 0, 58, ...message];
  let sum = 0;
  for (let index = 0; index < covered.length; index += 2)
    sum += ((covered[index] ?? 0) << 8) | (covered[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
