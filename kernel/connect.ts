import { formatIp, type Ip, ipBytes } from "../lib/address.ts";
import { errnoName } from "./errno.ts";
import { systemCall, trySystemCall } from "./ffi.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const POLLOUT = 4;
const EINPROGRESS = 115;

/** A TCP connection that is being made. */
export interface Connecting {
  /** `connected`, or the errno name of why not; undefined while nobody has answered. */
  outcome(): string | undefined;
  close(): void;
}

/** Begins to connect, in the namespace where the thread is now, without waiting: for trying whether somebody is there.
 *  Throws a NetError when no socket can be had. */
export function beginConnect(ip: Ip, port: number): Connecting {
  const family = ip.family === 4 ? AF_INET : AF_INET6;
  const tried = `connect to ${formatIp(ip)} port ${port}`;
  const fd = systemCall(tried, "socket", family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const address = socketAddress(family, ip, port);
  const result = -trySystemCall("connect", fd, address, address.length);
  let known = result === EINPROGRESS ? undefined : outcomeOf(result);
  return {
    outcome() {
      if (known === undefined && isReady(fd)) known = outcomeOf(errorOf(fd));
      return known;
    },
    close() {
      trySystemCall("close", fd);
    },
  };
}

function outcomeOf(errno: number): string {
  return errno === 0 ? "connected" : errnoName(errno);
}

/** A socket can be written to when it is connected, and when that has failed. */
function isReady(fd: number): boolean {
  const set = new Uint8Array(8);
  const view = new DataView(set.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLOUT, true);
  const noWait = new Uint8Array(16);
  return trySystemCall("ppoll", set, 1, noWait, null, 8) > 0;
}

/** Why connecting failed; 0 when it didn't. */
function errorOf(fd: number): number {
  const value = new Uint8Array(4);
  const length = new Uint8Array(Uint32Array.of(4).buffer);
  systemCall("ask a socket for its error", "getsockopt", fd, SOL_SOCKET, SO_ERROR, value, length);
  return new DataView(value.buffer).getInt32(0, true);
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(family: number, ip: Ip, port: number): Uint8Array {
  const bytes = new Uint8Array(ip.family === 4 ? 16 : 28);
  bytes[0] = family;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  bytes.set(ipBytes(ip), ip.family === 4 ? 4 : 8);
  return bytes;
}
