import { systemCall, trySystemCall } from "../../kernel/ffi.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { ipBytes, parseIp } from "../../lib/address.ts";

const AF_INET = 2;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const IPPROTO_SCTP = 132;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const ETHERNET_HEADER = 14;
const IP_HEADER = 20;

/** Sends the packet that begins an SCTP association (RFC 9260 section 3.3.2) as a frame from `eth0` of `from` to the
 *  hardware address `gateway`: many kernels track and translate SCTP without speaking it. */
export function sendSctpInit(
  from: Kernel,
  gateway: string,
  addresses: [string, string],
  ports: [number, number],
): void {
  const frame = new Uint8Array(ETHERNET_HEADER + IP_HEADER + 32);
  const link = from.link("eth0");
  if (link === undefined) throw new Error("there is no eth0");
  frame.set(gateway.split(":").map((digits) => Number.parseInt(digits, 16)));
  frame.set(
    link.mac.split(":").map((digits) => Number.parseInt(digits, 16)),
    6,
  );
  frame.set([0x08, 0x00], 12);
  frame.set(ipHeader(addresses), ETHERNET_HEADER);
  frame.set(initPacket(ports), ETHERNET_HEADER + IP_HEADER);
  const place = new Uint8Array(20);
  new DataView(place.buffer).setUint16(0, AF_PACKET, true);
  new DataView(place.buffer).setUint16(2, 0x0800);
  new DataView(place.buffer).setUint32(4, link.index, true);
  const descriptor = from.enter(() => systemCall("open a packet socket", "socket", AF_PACKET, SOCK_RAW, 0));
  try {
    systemCall("bind the packet socket", "bind", descriptor, place, place.length);
    systemCall("send a frame", "write", descriptor, frame, frame.length);
  } finally {
    trySystemCall("close", descriptor);
  }
}

/** Hears all SCTP over IPv4 that reaches `where`. */
export function listenSctp(where: Kernel) {
  const descriptor = where.enter(() => systemCall("open a raw socket", "socket", AF_INET, SOCK_RAW, IPPROTO_SCTP));
  const timeout = new Uint8Array(new BigInt64Array([0n, 400_000n]).buffer);
  systemCall("set a time limit", "setsockopt", descriptor, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
  return {
    /** Destination port of the next packet; undefined when none comes. */
    nextPort(): number | undefined {
      const packet = new Uint8Array(1500);
      const length = trySystemCall("recvfrom", descriptor, packet, packet.length, 0, null);
      return length < IP_HEADER + 4 ? undefined : new DataView(packet.buffer).getUint16(IP_HEADER + 2);
    },
    close: () => void trySystemCall("close", descriptor),
  };
}

function ipHeader([source, destination]: [string, string]): Uint8Array {
  const header = new Uint8Array(IP_HEADER);
  const view = new DataView(header.buffer);
  header.set([0x45, 0, 0, IP_HEADER + 32, 0, 1, 0, 0, 64, IPPROTO_SCTP]);
  header.set(ipBytes(parseIp(source)), 12);
  header.set(ipBytes(parseIp(destination)), 16);
  let sum = 0;
  for (let offset = 0; offset < IP_HEADER; offset += 2) sum += view.getUint16(offset);
  view.setUint16(10, ~((sum & 0xffff) + (sum >>> 16)));
  return header;
}

function initPacket([sourcePort, port]: [number, number]): Uint8Array {
  const packet = new Uint8Array(32);
  const view = new DataView(packet.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, port);
  view.setUint8(12, 1);
  view.setUint16(14, 20);
  view.setUint32(16, 0x01020304);
  view.setUint32(20, 65536);
  view.setUint16(24, 1);
  view.setUint16(26, 1);
  view.setUint32(28, 1);
  // Connection tracking ignores a packet whose checksum is wrong.
  view.setUint32(8, crc32c(packet), true);
  return packet;
}

/** RFC 9260 appendix A. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}
