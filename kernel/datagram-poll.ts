import { addressOf, trySystemCall } from "./ffi.ts";
import { bytesOf } from "./message-header.ts";

const POLLIN = 1;
/** 32-bit words of struct pollfd: the descriptor, then what it is watched for, with what was found in the upper
 *  half. */
const POLLFD_WORDS = 2;
/** Bytes of the kernel's own set of signals, of which none is given. */
const SIGSET_BYTES = 8;

/** Sockets that are waited for together (ppoll(2)). */
export class DatagramPoll {
  readonly #fds: number[] = [];
  readonly #set: Int32Array;
  readonly #setAt: number;
  /** struct timespec: seconds and nanoseconds, of 64 bits each. The kernel leaves there what it didn't wait. */
  readonly #timeout = new Int32Array(4);
  readonly #timeoutAt = addressOf(bytesOf(this.#timeout));

  /** For so many sockets at most. */
  constructor(most: number) {
    this.#set = new Int32Array(most * POLLFD_WORDS);
    this.#setAt = addressOf(bytesOf(this.#set));
  }

  get fds(): readonly number[] {
    return this.#fds;
  }

  add(fd: number): void {
    this.#set.set([fd, POLLIN], this.#fds.length * POLLFD_WORDS);
    this.#fds.push(fd);
  }

  /** Waits until one of the sockets has a datagram, for less than a second. False when none has, or the wait failed. */
  wait(milliseconds: number): boolean {
    return this.#waitFor(this.#fds.length, milliseconds * 1_000_000) > 0;
  }

  /** Sleeps so long, and by the kernel's slack of 50 µs longer (PR_SET_TIMERSLACK, prctl(2)), whatever comes. */
  rest(microseconds: number): void {
    this.#waitFor(0, microseconds * 1000);
  }

  /** True when the last wait, which was not in vain, has found a datagram or an error at the socket of this number. */
  hasSome(index: number): boolean {
    return (this.#set[index * POLLFD_WORDS + 1] ?? 0) >>> 16 !== 0;
  }

  #waitFor(sockets: number, nanoseconds: number): number {
    this.#timeout.fill(0);
    this.#timeout[2] = nanoseconds;
    return trySystemCall("ppoll", this.#setAt, sockets, this.#timeoutAt, null, SIGSET_BYTES);
  }
}
