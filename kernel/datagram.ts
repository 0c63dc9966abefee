import { formatIp, type Ip, ipBytes } from "../lib/address.ts";
import { addressOf, systemCall, trySystemCall } from "./ffi.ts";
import {
  bytesOf,
  FLAGS,
  IOV,
  IOV_COUNT,
  IOVEC_WORDS,
  LENGTH,
  MMSGHDR_WORDS,
  NAME,
  NAME_LENGTH,
  SOURCE_BYTES,
  setPointer,
} from "./message-header.ts";
import { ReplyBatch } from "./reply-batch.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_RCVTIMEO = 20;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const MSG_WAITFORONE = 0x10000;

/** Bytes of struct sockaddr_in6, the larger of the two. */
const SOCKADDR_BYTES = 28;

export interface DatagramOptions {
  readonly ip: Ip;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Receive buffer, bytes. */
  readonly receiveBytes: number;
  /** Longest wait of a `receive` that waits, milliseconds. */
  readonly waitMs: number;
}

/** A UDP socket bound to an address. Others of the same address share its datagrams (SO_REUSEPORT). Gives the file
 *  descriptor; throws a NetError with the errno name. */
export function openDatagram({ ip, port, receiveBytes, waitMs }: DatagramOptions): number {
  const tried = `listen on UDP ${formatIp(ip)} port ${port}`;
  const family = ip.family === 4 ? AF_INET : AF_INET6;
  const fd = systemCall(tried, "socket", family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    const set = (level: number, option: number, value: number): void => {
      const content = new Uint8Array(Int32Array.of(value).buffer);
      systemCall(tried, "setsockopt", fd, level, option, content, content.length);
    };
    set(SOL_SOCKET, SO_REUSEADDR, 1);
    set(SOL_SOCKET, SO_REUSEPORT, 1);
    set(SOL_SOCKET, SO_RCVBUF, receiveBytes);
    const wait = bytesOf(timeOf(waitMs));
    systemCall(tried, "setsockopt", fd, SOL_SOCKET, SO_RCVTIMEO, wait, wait.length);
    if (ip.family === 6) set(SOL_IPV6, IPV6_V6ONLY, 1);
    const address = socketAddress(ip, port);
    systemCall(tried, "bind", fd, address, address.length);
    return fd;
  } catch (error) {
    closeDatagram(fd);
    throw error;
  }
}

/** Lets no more datagrams come: those of a connected socket come from one peer alone, and this one says nothing. What
 *  is there already can still be received, and answers go out as before. Others that share the address take what comes
 *  from now on, so nothing is lost when this socket is closed later. `ip` is the address that it is bound to. */
export function retireDatagram(fd: number, ip: Ip): void {
  const isAny = ip.value === 0n;
  const peer = isAny ? { family: ip.family, value: LOOPBACK[ip.family] } : ip;
  const address = socketAddress(peer, SILENT_PORT);
  trySystemCall("connect", fd, address, address.length);
}

/** 127.0.0.1 and ::1. */
const LOOPBACK = { 4: 0x7f000001n, 6: 1n } as const;
/** TCPMUX (RFC 1078), which nobody speaks over UDP. */
const SILENT_PORT = 1;

export function closeDatagram(fd: number): void {
  trySystemCall("close", fd);
}

/** The port that a socket is bound to. */
export function portOf(fd: number): number {
  const address = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint8Array(Uint32Array.of(SOCKADDR_BYTES).buffer);
  systemCall("ask a socket for its port", "getsockname", fd, address, length);
  return ((address[2] ?? 0) << 8) | (address[3] ?? 0);
}

/** Sends one datagram to a struct sockaddr, which may have more bytes than its family needs; false when the kernel
 *  refused. UDP promises no more. */
export function sendDatagram(fd: number, message: Uint8Array, to: Uint8Array): boolean {
  sender ??= new OneDatagram();
  return sender.send(fd, message, to) >= 0;
}

let sender: OneDatagram | undefined;

/** Through sendmmsg, since a system call has no more than five arguments here. Message and address are copied to memory
 *  that stays: the collector doesn't know that a structure points to a buffer, and may take it away before the call. */
class OneDatagram {
  readonly #message = new Uint8Array(65_535);
  readonly #address = new Uint8Array(SOCKADDR_BYTES);
  readonly #vector = new Uint32Array(IOVEC_WORDS);
  readonly #header = new Uint32Array(MMSGHDR_WORDS);

  constructor() {
    setPointer(this.#vector, 0, addressOf(this.#message));
    setPointer(this.#header, NAME, addressOf(this.#address));
    setPointer(this.#header, IOV, addressOf(bytesOf(this.#vector)));
    this.#header[IOV_COUNT] = 1;
  }

  /** How many were sent: 1, or a negative number with the errno. */
  send(fd: number, message: Uint8Array, to: Uint8Array): number {
    this.#message.set(message);
    this.#address.set(to);
    this.#vector[2] = message.length;
    this.#header[NAME_LENGTH] = to.length;
    return trySystemCall("sendmmsg", fd, bytesOf(this.#header), 1, MSG_DONTWAIT);
  }
}

/** The address in a struct sockaddr_in or sockaddr_in6: four or sixteen bytes of network order. */
export function addressIn(source: Uint8Array): Uint8Array {
  return source[0] === AF_INET ? source.subarray(4, 8) : source.subarray(8, 24);
}

/** Datagrams received and answered many at a time: recvmmsg(2) and sendmmsg(2) cost one switch into the kernel for the
 *  whole batch. Buffers are used again by the next `receive`. */
export class DatagramBatch {
  /** Received datagrams, each at its slot. */
  readonly input: Uint8Array;
  readonly #count: number;
  readonly #slot: number;
  /** Who sent each of them: structs sockaddr, one every SOURCE_BYTES. */
  readonly sources: Uint8Array;
  readonly #received: Uint32Array;
  readonly #receivedAt: number;
  /** Headers that the kernel has written to since they were prepared. */
  #written: number;
  readonly #vectors: Uint32Array;
  readonly #replies: ReplyBatch;

  /** Takes up to `count` datagrams at a time; a slot has `slot` bytes. */
  constructor(count: number, slot: number) {
    this.#count = count;
    this.#slot = slot;
    this.input = new Uint8Array(count * slot);
    this.sources = new Uint8Array(count * SOURCE_BYTES);
    this.#replies = new ReplyBatch(count, slot, this.sources);
    this.#received = new Uint32Array(count * MMSGHDR_WORDS);
    this.#receivedAt = addressOf(bytesOf(this.#received));
    this.#written = count;
    this.#vectors = vectorsFor(this.input, count, slot);
    pointHeaders(this.#received, this.#vectors, count);
    const sourcesAt = addressOf(this.sources);
    for (let index = 0; index < count; index++) {
      setPointer(this.#received, index * MMSGHDR_WORDS + NAME, sourcesAt + index * SOURCE_BYTES);
    }
  }

  /** Replies, each at its slot. */
  get output(): Uint8Array {
    return this.#replies.output;
  }

  /** How many datagrams came; 0 when none waits, or none has come for as long as the socket waits. */
  receive(fd: number, wait: boolean): number {
    for (let index = 0; index < this.#written; index++) {
      this.#received[index * MMSGHDR_WORDS + NAME_LENGTH] = SOCKADDR_BYTES;
    }
    this.#replies.clear();
    const flags = wait ? MSG_WAITFORONE : MSG_DONTWAIT;
    this.#written = Math.max(0, trySystemCall("recvmmsg", fd, this.#receivedAt, this.#count, flags, null));
    return this.#written;
  }

  /** Bytes of a received datagram; 0 for one that was longer than a slot. */
  lengthOf(index: number): number {
    const header = index * MMSGHDR_WORDS;
    return ((this.#received[header + FLAGS] ?? 0) & MSG_TRUNC) === 0 ? (this.#received[header + LENGTH] ?? 0) : 0;
  }

  /** Where the slot of a datagram, or of the reply of this number, begins. */
  offsetOf(index: number): number {
    return index * this.#slot;
  }

  /** Where in `sources` the sender of a datagram is. */
  sourceOffset(index: number): number {
    return index * SOURCE_BYTES;
  }

  /** Slot that the next reply belongs into. */
  get nextReply(): number {
    return this.#replies.next;
  }

  /** Notes that the next reply is there, for the sender of the datagram `index`. */
  reply(index: number, length: number): void {
    this.#replies.add(index, length);
  }

  /** Sends all replies. One that the kernel refuses is lost, those after it are not. Gives the number of messages that
   *  went through the kernel. */
  send(fd: number): number {
    return this.#replies.send(fd);
  }
}

function vectorsFor(buffer: Uint8Array, count: number, slot: number): Uint32Array {
  const vectors = new Uint32Array(count * IOVEC_WORDS);
  const base = addressOf(buffer);
  for (let index = 0; index < count; index++) {
    setPointer(vectors, index * IOVEC_WORDS, base + index * slot);
    vectors[index * IOVEC_WORDS + 2] = slot;
  }
  return vectors;
}

function pointHeaders(headers: Uint32Array, vectors: Uint32Array, count: number): void {
  const base = addressOf(bytesOf(vectors));
  for (let index = 0; index < count; index++) {
    setPointer(headers, index * MMSGHDR_WORDS + IOV, base + index * IOVEC_WORDS * 4);
    headers[index * MMSGHDR_WORDS + IOV_COUNT] = 1;
  }
}

function socketAddress(ip: Ip, port: number): Uint8Array {
  const bytes = new Uint8Array(ip.family === 4 ? 16 : SOCKADDR_BYTES);
  bytes[0] = ip.family === 4 ? AF_INET : AF_INET6;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  bytes.set(ipBytes(ip), ip.family === 4 ? 4 : 8);
  return bytes;
}

/** struct timeval. */
function timeOf(milliseconds: number): BigInt64Array {
  return new BigInt64Array([BigInt(Math.floor(milliseconds / 1000)), BigInt(milliseconds % 1000) * 1000n]);
}
