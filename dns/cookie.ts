import { OPTION } from "./codes.ts";
import { sipHash24 } from "./siphash.ts";

const CLIENT_BYTES = 8;
const SERVER_BYTES = 16;
/** Cookies are good for an hour, and five minutes ahead of our clock (RFC 9018 section 4.3), seconds. */
const LIFE = { past: 3600, future: 300 } as const;
/** Version 1 and three reserved bytes (RFC 9018 sections 4.1 and 4.2). */
const HEAD = [1, 0, 0, 0];

/** Cookies by which an asker shows that it has the address that it asks from (RFC 7873), made so that servers with the
 *  same secret take each other's (RFC 9018). Nothing is remembered. */
export class ServerCookies {
  readonly #secret: Uint8Array;

  /** `secret`: 16 bytes that nobody else knows. */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** The option, with its head, for an asker whose own is `given`. `source`: its address, 4 or 16 bytes; `now`: seconds
   *  since 1970. */
  option(given: Uint8Array, source: Uint8Array, now: number): Uint8Array {
    const client = given.subarray(0, CLIENT_BYTES);
    const server = this.#serverCookie(client, source, now);
    return Uint8Array.from([0, OPTION.COOKIE, 0, CLIENT_BYTES + SERVER_BYTES, ...client, ...server]);
  }

  /** True when the asker has a cookie that it was given at this address not long ago. */
  isGood(given: Uint8Array, source: Uint8Array, now: number): boolean {
    if (given.length !== CLIENT_BYTES + SERVER_BYTES) return false;
    const made = new DataView(given.buffer, given.byteOffset).getUint32(CLIENT_BYTES + HEAD.length);
    // Serial number arithmetic: the time has 32 bits.
    const age = (now - made) | 0;
    if (age > LIFE.past || age < -LIFE.future) return false;
    const expected = this.#serverCookie(given.subarray(0, CLIENT_BYTES), source, made);
    let difference = 0;
    for (const [index, byte] of expected.entries()) difference |= byte ^ (given[CLIENT_BYTES + index] ?? 0);
    return difference === 0;
  }

  #serverCookie(client: Uint8Array, source: Uint8Array, now: number): Uint8Array {
    const time = [now >>> 24, (now >>> 16) & 0xff, (now >>> 8) & 0xff, now & 0xff];
    const hash = sipHash24(this.#secret, Uint8Array.from([...client, ...HEAD, ...time, ...source]));
    return Uint8Array.from([...HEAD, ...time, ...hash]);
  }
}

/** Whether a cookie option may be this long (RFC 7873 section 5.2.2): the client's eight bytes, alone or followed by a
 *  server's 8 to 32. */
export function isCookieLength(bytes: number): boolean {
  return bytes === CLIENT_BYTES || (bytes >= CLIENT_BYTES + 8 && bytes <= CLIENT_BYTES + 32);
}
