import { fromCString } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import { HEADER_LENGTH, malformed, readAttributes, readU16, readU32 } from "./attribute.ts";
import { errnoError } from "./errno.ts";
import { systemCall, trySystemCall } from "./ffi.ts";

/** Netlink families (linux/netlink.h). */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

/** Flags of a request (linux/netlink.h). */
export const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
const NLM_F_DUMP = 0x300;

const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const EAGAIN = 11;
const ENOBUFS = 105;

/** Longest wait for an answer. The kernel answers before send returns; only a lock held by another for long can delay
 *  it. */
const ANSWER_TIMEOUT_S = 30;
/** Room for the errors of a whole batch, which all arrive before we read the first. */
const RECEIVE_BUFFER_BYTES = 4 << 20;
/** A send of more than this needs a larger buffer than the kernel's default of about 200 KiB. */
const SEND_BYTES = 128 << 10;
/** Messages of one send. The limit keeps the answers of a batch that fails throughout inside the receive buffer. */
const BATCH_MESSAGES = 512;
const BATCH_BYTES = 64 << 10;
/** A table that changes faster than we can read it is given up after this many tries. */
const DUMP_TRIES = 10;

/** One received message. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows nlmsghdr. A view into the receive buffer: read it before the next receive. */
  readonly payload: Uint8Array;
}

/** Takes a datagram apart; throws a NetError `kernel` when a length doesn't fit. */
export function decodeMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = [];
  for (let offset = 0; offset + HEADER_LENGTH <= bytes.length; ) {
    const length = readU32(bytes, offset);
    if (length < HEADER_LENGTH || offset + length > bytes.length) {
      throw malformed(`a message of ${length} bytes at ${offset} of ${bytes.length}`);
    }
    messages.push({
      type: readU16(bytes, offset + 4),
      flags: readU16(bytes, offset + 6),
      sequence: readU32(bytes, offset + 8),
      payload: bytes.subarray(offset + HEADER_LENGTH, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return messages;
}

/** An answer of type NLMSG_ERROR: positive errno (0 is an acknowledgement) and the kernel's extended text, if any. */
export function decodeError(message: Message): Verdict {
  const errno = -(readU32(message.payload) | 0);
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno, text: "" };
  const echoed = (message.flags & NLM_F_CAPPED) !== 0 ? HEADER_LENGTH : readU32(message.payload, 4);
  const text = readAttributes(message.payload, 4 + ((echoed + 3) & ~3)).get(NLMSGERR_ATTR_MSG);
  return { errno, text: text === undefined ? "" : fromCString(text) };
}

/** One request of a batch: the message, and what it tries, in words, for the error. */
export interface Request {
  readonly message: Uint8Array;
  readonly tried: () => string;
}

/** A netlink socket. It belongs to the network namespace in which it was opened, whoever uses it from wherever. */
export class Netlink {
  /** As much as the kernel ever puts into one datagram of a dump. */
  private readonly buffer = new Uint8Array(32 << 10);
  private sequence = 1;
  /** The longest send that there is room for. */
  private sendable = SEND_BYTES;

  private constructor(private readonly descriptor: number) {}

  /** Opens a socket of one netlink family in the calling thread's namespace, listening to `groups` (a bit mask). */
  static open(family: number, groups = 0): Netlink {
    const descriptor = systemCall("open a netlink socket", "socket", AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);
    const socket = new Netlink(descriptor);
    socket.option(NETLINK_EXT_ACK, 1);
    socket.option(NETLINK_CAP_ACK, 1);
    if (family === NETLINK_ROUTE) socket.option(NETLINK_GET_STRICT_CHK, 1);
    trySystemCall(
      "setsockopt",
      descriptor,
      SOL_SOCKET,
      SO_RCVBUFFORCE,
      new Uint8Array(new Uint32Array([RECEIVE_BUFFER_BYTES]).buffer),
      4,
    );
    const timeout = new BigInt64Array([BigInt(ANSWER_TIMEOUT_S), 0n]);
    trySystemCall("setsockopt", descriptor, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(timeout.buffer), 16);
    if (groups !== 0) {
      const address = new Uint8Array(12);
      new DataView(address.buffer).setUint16(0, AF_NETLINK, true);
      new DataView(address.buffer).setUint32(8, groups, true);
      systemCall("listen to netlink groups", "bind", descriptor, address, address.length);
    }
    return socket;
  }

  /** Sends all requests, many in one send, and returns one error or undefined for each. Only the last of a send asks
   *  for an acknowledgement: the kernel reports failures unasked, in order, so silence before it means success. When
   *  answers of a send were lost, all of its requests have that error, though the kernel may have carried them out. */
  transact(requests: readonly Request[]): (Error | undefined)[] {
    const outcome = new Array<Error | undefined>(requests.length).fill(undefined);
    for (let start = 0; start < requests.length; ) {
      const end = endOfBatch(requests, start);
      try {
        this.transactOnce(requests, start, end, outcome);
      } catch (error) {
        if (!(error instanceof NetError) || error.errno !== "ENOBUFS") throw error;
        this.drain();
        outcome.fill(error, start, end);
      }
      start = end;
    }
    return outcome;
  }

  /** Sends all requests as one transaction of a subsystem that has such (nf_tables), between the two messages of
   *  `frame`. Throws the kernel's first refusal, after which nothing has changed. Only the last request asks for an
   *  acknowledgement: older kernels give none for the end of a batch. */
  transaction(requests: readonly Request[], [begin, end]: readonly [Uint8Array, Uint8Array]): void {
    const messages = requests.map(({ message }) => message);
    const last = messages.at(-1);
    if (last === undefined) return;
    new DataView(last.buffer, last.byteOffset).setUint16(6, readU16(last, 6) | NLM_F_ACK, true);
    const first = this.send([begin, ...messages, end], 0);
    let refused: Error | undefined;
    this.receiveUntil(first, (message) => {
      if (message.type !== NLMSG_ERROR) return false;
      const { errno, text } = decodeError(message);
      const index = message.sequence - first - 1;
      // A refusal of the batch as a whole, such as of the commit, answers its first message.
      const tried = requests[index]?.tried ?? (() => `commit ${requests.length} changes`);
      if (errno !== 0) refused ??= errnoError(errno, { tried: tried(), said: text });
      return index < 0 || index === requests.length - 1;
    });
    if (refused !== undefined) throw refused;
  }

  /** One answer to a question, without an acknowledgement behind it. Throws the kernel's refusal. */
  get<T>(request: Request, decode: (message: Message) => T): T {
    const sequence = this.send([request.message], NLM_F_REQUEST);
    for (;;) {
      for (const message of this.receive(sequence)) {
        if (message.sequence < sequence) continue;
        if (message.type !== NLMSG_ERROR) return decode(message);
        throwRefusal(decodeError(message), request);
      }
    }
  }

  /** All messages of a dump, each turned into a value by `decode` (undefined is left out). A dump that the kernel marks
   *  as interrupted by a change (NLM_F_DUMP_INTR) is inconsistent, and repeated. */
  dump<T>(request: Request, decode: (message: Message) => T | undefined): T[] {
    for (let attempt = 0; attempt < DUMP_TRIES; attempt++) {
      const values = this.dumpOnce(request, decode);
      if (values !== undefined) return values;
    }
    throw new NetError("busy", {
      tried: request.tried(),
      said: `the table changed during each of ${DUMP_TRIES} readings`,
      remedy: "try again when fewer changes are made",
    });
  }

  /** Reads and drops what has arrived on the groups; true when there was any message that `matters`, or more than the
   *  socket could hold. */
  drain(matters: (message: Message) => boolean = () => true): boolean {
    for (let any = false; ; ) {
      const length = trySystemCall("recvfrom", this.descriptor, this.buffer, this.buffer.length, MSG_DONTWAIT, null);
      if (length === -EAGAIN) return any;
      if (length < 0 && length !== -ENOBUFS) throw errnoError(-length, { tried: "read netlink notifications" });
      any ||= length < 0 || decodeMessages(this.buffer.subarray(0, length)).some(matters);
    }
  }

  close(): void {
    trySystemCall("close", this.descriptor);
  }

  private option(name: number, value: number): void {
    trySystemCall("setsockopt", this.descriptor, SOL_NETLINK, name, new Uint8Array([value, 0, 0, 0]), 4);
  }

  /** Sends the messages with consecutive sequence numbers and returns the first. `flags` are added to the last one. */
  private send(messages: readonly Uint8Array[], flags: number): number {
    const first = this.sequence;
    const single = messages[0];
    const datagram = messages.length === 1 && single !== undefined ? single : joined(messages);
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    let last = 0;
    for (let offset = 0; offset < datagram.length; offset += (view.getUint32(offset, true) + 3) & ~3) {
      view.setUint32(offset + 8, this.sequence++, true);
      last = offset;
    }
    view.setUint16(last + 6, view.getUint16(last + 6, true) | flags, true);
    if (datagram.length > this.sendable) this.makeRoom(datagram.length);
    systemCall("send a netlink request", "sendto", this.descriptor, datagram, datagram.length, 0, null);
    return first;
  }

  /** The kernel doubles the number for its own bookkeeping. */
  private makeRoom(bytes: number): void {
    const size = new Uint8Array(new Uint32Array([bytes]).buffer);
    systemCall("enlarge a netlink socket", "setsockopt", this.descriptor, SOL_SOCKET, SO_SNDBUFFORCE, size, 4);
    this.sendable = bytes;
  }

  private transactOnce(requests: readonly Request[], start: number, end: number, outcome: (Error | undefined)[]): void {
    const first = this.send(
      requests.slice(start, end).map((request) => request.message),
      NLM_F_ACK,
    );
    this.receiveUntil(first, (message) => {
      const index = start + message.sequence - first;
      const request = requests[index];
      if (message.type !== NLMSG_ERROR || index >= end || request === undefined) return false;
      const { errno, text } = decodeError(message);
      if (errno !== 0) outcome[index] = errnoError(errno, { tried: request.tried(), said: text });
      return index === end - 1;
    });
  }

  /** Undefined when the dump was interrupted. It is read to its end in any case, so that the socket is clean. */
  private dumpOnce<T>(request: Request, decode: (message: Message) => T | undefined): T[] | undefined {
    const sequence = this.send([request.message.slice()], NLM_F_REQUEST | NLM_F_DUMP);
    const values: T[] = [];
    let interrupted = false;
    this.receiveUntil(sequence, (message) => {
      interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
      if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
        throwRefusal(decodeDone(message), request);
        return true;
      }
      const value = decode(message);
      if (value !== undefined) values.push(value);
      return false;
    });
    return interrupted ? undefined : values;
  }

  /** Hands over what arrives for the requests from `sequence` on, until `isLast` says that nothing more is due. Answers
   *  to earlier requests that were given up are left out. */
  private receiveUntil(sequence: number, isLast: (message: Message) => boolean): void {
    for (;;) {
      for (const message of this.receive(sequence)) {
        if (message.sequence >= sequence && isLast(message)) return;
      }
    }
  }

  private receive(sequence: number): Message[] {
    const length = trySystemCall("recvfrom", this.descriptor, this.buffer, this.buffer.length, MSG_TRUNC, null);
    if (length === -EAGAIN) {
      throw new NetError("timeout", {
        tried: `get the answer to netlink request ${sequence}`,
        said: `none came in ${ANSWER_TIMEOUT_S} s`,
      });
    }
    if (length < 0) throw errnoError(-length, { tried: "read a netlink answer" });
    if (length > this.buffer.length) throw malformed(`a datagram of ${length} bytes`);
    return decodeMessages(this.buffer.subarray(0, length));
  }
}

interface Verdict {
  readonly errno: number;
  readonly text: string;
}

function throwRefusal({ errno, text }: Verdict, request: Request): void {
  if (errno !== 0) throw errnoError(errno, { tried: request.tried(), said: text });
}

/** NLMSG_DONE carries the result of the dump like an error message does, but with its text directly behind the
 *  number. */
function decodeDone(message: Message): Verdict {
  if (message.payload.length < 4) return { errno: 0, text: "" };
  if (message.type === NLMSG_ERROR) return decodeError(message);
  const errno = -(readU32(message.payload) | 0);
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno, text: "" };
  const text = readAttributes(message.payload, 4).get(NLMSGERR_ATTR_MSG);
  return { errno, text: text === undefined ? "" : fromCString(text) };
}

/** Index behind the last request that fits into one send with the one at `start`. */
function endOfBatch(requests: readonly Request[], start: number): number {
  let end = start;
  let bytes = 0;
  for (let next = requests[end]; next !== undefined && end - start < BATCH_MESSAGES; next = requests[++end]) {
    bytes += next.message.length;
    if (bytes > BATCH_BYTES && end > start) break;
  }
  return end;
}

function joined(messages: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(messages.reduce((sum, message) => sum + ((message.length + 3) & ~3), 0));
  let offset = 0;
  for (const message of messages) {
    bytes.set(message, offset);
    offset += (message.length + 3) & ~3;
  }
  return bytes;
}
