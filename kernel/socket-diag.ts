import { type Ip, ipBytes } from "../lib/address.ts";
import { hasErrno } from "../lib/error.ts";
import { MessageWriter, readU8, readU32 } from "./attribute.ts";
import { type Message, Netlink, NLM_F_REQUEST, type Request } from "./netlink.ts";

/** Numbers of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h. */
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const INET_DIAG_REQ_BYTECODE = 1;
const INET_DIAG_BC_JMP = 1;
const INET_DIAG_BC_D_COND = 8;
const AF_INET = 2;
const AF_INET6 = 10;
const PROTOCOL = { tcp: 6, udp: 17 } as const;
/** All states of a TCP socket but LISTEN (10) and TIME_WAIT (6), which has no socket any more (net/tcp_states.h). A
 *  connected UDP socket is ESTABLISHED (1). */
const STATES = 0xfff & ~(1 << 10) & ~(1 << 6);
/** struct inet_diag_sockid, and where it lies in struct inet_diag_msg. */
const ID_BYTES = 48;
const ID_AT = 4;
/** Of the two words of the socket's cookie in struct inet_diag_sockid. */
const COOKIE_AT = 40;
/** A filter with more destinations doesn't fit into one message; then all sockets are asked for. */
const DESTINATIONS_MAX = 128;

/** A peer that sockets are connected to. */
export interface Destination {
  readonly ip: Ip;
  readonly port: number;
}

/** A socket with a peer. */
export interface ConnectedSocket {
  readonly protocol: "tcp" | "udp";
  /** The number that the kernel never gives to another socket (SO_COOKIE). */
  readonly cookie: bigint;
  readonly family: number;
  /** struct inet_diag_sockid: what names the socket to the kernel. */
  readonly id: Uint8Array;
}

/** The sockets of the network namespace in which it was opened (sock_diag(7)). */
export class SocketDiag {
  private constructor(private readonly netlink: Netlink) {}

  static open(): SocketDiag {
    return new SocketDiag(Netlink.open(NETLINK_SOCK_DIAG));
  }

  /** Sockets that are connected, or being connected, to one of the destinations. With very many destinations all
   *  connected ones are listed, so that the caller must compare cookies in any case. */
  connected(protocol: "tcp" | "udp", destinations: readonly Destination[]): ConnectedSocket[] {
    if (destinations.length === 0) return [];
    const filter = destinations.length > DESTINATIONS_MAX ? undefined : destinationFilter(destinations);
    // Sockets of family 6 can be connected to IPv4 addresses.
    const families = destinations.some(({ ip }) => ip.family === 4) ? [AF_INET, AF_INET6] : [AF_INET6];
    return families.flatMap((family) =>
      this.netlink.dump(
        {
          message: request(SOCK_DIAG_BY_FAMILY, family, protocol, noId, filter),
          tried: () => `list ${protocol} sockets`,
        },
        (message) => socketOf(message, protocol),
      ),
    );
  }

  /** Ends the connections of sockets: their owners get ECONNABORTED, and the peer of a TCP connection a reset. Tells
   *  how many; a socket that is gone is no error. Takes CONFIG_INET_DIAG_DESTROY. */
  destroy(sockets: readonly ConnectedSocket[]): number {
    const requests = sockets.map(
      ({ family, protocol, id }): Request => ({
        message: request(SOCK_DESTROY, family, protocol, id),
        tried: () => `end the connection of a ${protocol} socket`,
      }),
    );
    let count = 0;
    for (const error of this.netlink.transact(requests)) {
      if (error === undefined) count++;
      else if (!hasErrno(error, "ENOENT")) throw error;
    }
    return count;
  }

  close(): void {
    this.netlink.close();
  }
}

const noId = new Uint8Array(ID_BYTES);

/** struct inet_diag_req_v2: family, protocol, extensions, padding, states, id. */
function request(
  type: number,
  family: number,
  protocol: "tcp" | "udp",
  id: Uint8Array,
  filter?: Uint8Array,
): Uint8Array {
  const writer = new MessageWriter(type, NLM_F_REQUEST).u8(family).u8(PROTOCOL[protocol]).u8(0).u8(0).u32(STATES);
  for (let offset = 0; offset < ID_BYTES; offset += 4) writer.u32(readU32(id, offset));
  if (filter !== undefined) writer.attribute(INET_DIAG_REQ_BYTECODE, filter);
  return writer.finish();
}

/** struct inet_diag_msg: family, state, timer, retransmissions, id. */
function socketOf({ payload }: Message, protocol: "tcp" | "udp"): ConnectedSocket {
  const id = payload.slice(ID_AT, ID_AT + ID_BYTES);
  const cookie = BigInt(readU32(id, COOKIE_AT)) | (BigInt(readU32(id, COOKIE_AT + 4)) << 32n);
  return { protocol, cookie, family: readU8(payload), id };
}

/** The kernel's little program that accepts sockets with one of these peers. An operation goes on `yes` or `no` bytes
 *  further; who arrives exactly at the end is accepted, who goes four bytes beyond is not. As `yes` has only one byte,
 *  a match goes on to a jump, whose distance is in `no`. Exported for tests. */
export function destinationFilter(destinations: readonly Destination[]): Uint8Array {
  const conditions = destinations.map(conditionOf);
  const JUMP = 4;
  const total = conditions.reduce((sum, condition) => sum + condition.length + JUMP, 0) - JUMP;
  const filter = new Uint8Array(total);
  const view = new DataView(filter.buffer);
  let offset = 0;
  for (const [index, condition] of conditions.entries()) {
    const last = index === conditions.length - 1;
    filter.set(condition, offset);
    view.setUint8(offset, INET_DIAG_BC_D_COND);
    view.setUint8(offset + 1, condition.length);
    view.setUint16(offset + 2, condition.length + JUMP, true);
    offset += condition.length;
    if (last) break;
    view.setUint8(offset, INET_DIAG_BC_JMP);
    view.setUint8(offset + 1, JUMP);
    view.setUint16(offset + 2, total - offset, true);
    offset += JUMP;
  }
  return filter;
}

/** struct inet_diag_bc_op, to be filled in, then struct inet_diag_hostcond: family, prefix length, port in the host's
 *  order, address. */
function conditionOf({ ip, port }: Destination): Uint8Array {
  const address = ipBytes(ip);
  const bytes = new Uint8Array(12 + address.length);
  bytes[4] = ip.family === 4 ? AF_INET : AF_INET6;
  bytes[5] = 8 * address.length;
  new DataView(bytes.buffer).setUint32(8, port, true);
  bytes.set(address, 12);
  return bytes;
}
