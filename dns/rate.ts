/** Large answers that one network of askers gets over UDP each second, and at once. */
const PER_SECOND = 200;
const BURST = 400;
const BUCKETS = 4096;
const INTERVAL_MS = 1000 / PER_SECOND;

/** Answers of more bytes than this count: smaller ones are of no use to somebody who wants to flood another, since they
 *  are hardly larger than the questions. */
export const LARGE_BYTES = 512;

const AF_INET = 2;

/** Limits the large answers that go to a network whose addresses somebody may be faking (IPv4 /24, IPv6 /56). Those who
 *  ask for more are told to come over TCP, where they can't. Networks that fall into the same bucket share it. Never
 *  limits this machine itself. Pure: told the monotonic time. */
export class RateLimit {
  /** When the bucket of each network is empty again, milliseconds. */
  readonly #until = new Float64Array(BUCKETS);
  readonly #seed: number;

  /** `seed`: a number that askers don't know, so that they can't choose whose bucket they share. */
  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  /** Whether a large answer may go to the struct sockaddr at `at`. Allocates nothing. */
  allows(address: Uint8Array, at: number, now: number): boolean {
    const four = address[at] === AF_INET;
    const from = at + (four ? 4 : 8);
    if (four ? address[from] === 127 : isLoopback(address, from)) return true;
    let hash = this.#seed;
    for (let index = from; index < from + (four ? 3 : 7); index++) {
      hash = Math.imul(hash ^ (address[index] ?? 0), 0x01000193);
      hash ^= hash >>> 15;
    }
    const bucket = (hash >>> 0) % BUCKETS;
    const until = Math.max(this.#until[bucket] ?? 0, now) + INTERVAL_MS;
    if (until - now > BURST * INTERVAL_MS) return false;
    this.#until[bucket] = until;
    return true;
  }
}

function isLoopback(address: Uint8Array, from: number): boolean {
  for (let index = from; index < from + 15; index++) if (address[index] !== 0) return false;
  return address[from + 15] === 1;
}
