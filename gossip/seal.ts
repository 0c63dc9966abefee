import { toHex } from "../lib/bytes.ts";
import { openWith, sealWith, TAG_BYTES } from "./cipher.ts";
import { derive, FINGERPRINT_BYTES, type KeyRing, keyOf } from "./key.ts";
import { ReplayWindow } from "./replay.ts";

// A sealed datagram: "DN", format, fingerprint of the cluster key, session, counter, sealed content. The session is
// drawn at each start of a node and gives it a key of its own, so that counters of different nodes can't meet under one
// key.

/** The first bytes of everything that nodes send: "DN" and the format of the seal. */
export const MAGIC = Uint8Array.of(0x44, 0x4e, 1);
export const SESSION_BYTES = 16;
const COUNTER_BYTES = 6;
const SESSION_AT = MAGIC.length + FINGERPRINT_BYTES;
const COUNTER_AT = SESSION_AT + SESSION_BYTES;
const HEAD_BYTES = COUNTER_AT + COUNTER_BYTES;
const PURPOSE = "datagrams of a session";

/** Bytes that the seal adds to a datagram. */
export const SEAL_BYTES = HEAD_BYTES + TAG_BYTES;

/** Sessions that are remembered; the one not heard of for longest goes first. */
const MAX_SESSIONS = 40_000;

/** What became of a datagram. `foreign`: sealed with a key that this node doesn't have, by its fingerprint; `format`:
 *  by a release with another format; `forged`: changed or made up; `noise`: nothing of ours. */
export type Opened =
  | { readonly kind: "content"; readonly content: Uint8Array }
  | { readonly kind: "foreign"; readonly fingerprint: string }
  | { readonly kind: "format"; readonly format: number }
  | { readonly kind: "forged" | "replayed" | "noise" };

/** Seals the datagrams of this node. */
export class DatagramSealer {
  readonly #session: Uint8Array;
  #head = new Uint8Array(0);
  #key = new Uint8Array(0);
  #counter = 0;

  /** `session` is random, drawn anew at each start. */
  constructor(ring: KeyRing, session: Uint8Array) {
    this.#session = session;
    this.use(ring);
  }

  /** Goes over to another ring. The counter goes on. */
  use({ primary }: KeyRing): void {
    const head = new Uint8Array(HEAD_BYTES);
    head.set(MAGIC);
    head.set(primary.fingerprint, MAGIC.length);
    head.set(this.#session, SESSION_AT);
    this.#head = head;
    this.#key = new Uint8Array(derive(primary.material, this.#session, PURPOSE));
  }

  seal(content: Uint8Array): Uint8Array {
    const counter = this.#counter++;
    const head = this.#head.slice();
    const view = new DataView(head.buffer);
    view.setUint16(COUNTER_AT, Math.floor(counter / 0x1_0000_0000));
    view.setUint32(COUNTER_AT + 2, counter >>> 0);
    return Buffer.concat([head, sealWith(this.#key, counter, head, content)]);
  }
}

interface Session {
  readonly key: Uint8Array;
  readonly window: ReplayWindow;
}

/** Opens the datagrams of other nodes, each once. */
export class DatagramOpener {
  #ring: KeyRing;
  readonly #sessions = new Map<string, Session>();

  constructor(ring: KeyRing) {
    this.#ring = ring;
  }

  /** Goes over to another ring. */
  use(ring: KeyRing): void {
    this.#ring = ring;
  }

  open(bytes: Uint8Array): Opened {
    if (bytes.length < SEAL_BYTES || bytes[0] !== MAGIC[0] || bytes[1] !== MAGIC[1]) return { kind: "noise" };
    if (bytes[2] !== MAGIC[2]) return { kind: "format", format: bytes[2] ?? 0 };
    const head = bytes.subarray(0, HEAD_BYTES);
    const fingerprint = head.subarray(MAGIC.length, SESSION_AT);
    const clusterKey = keyOf(this.#ring, fingerprint);
    if (clusterKey === undefined) return { kind: "foreign", fingerprint: toHex(fingerprint) };
    const id = toHex(head.subarray(MAGIC.length, COUNTER_AT));
    const known = this.#sessions.get(id);
    const key = known?.key ?? derive(clusterKey.material, head.subarray(SESSION_AT, COUNTER_AT), PURPOSE);
    const view = new DataView(bytes.buffer, bytes.byteOffset + COUNTER_AT, COUNTER_BYTES);
    const counter = view.getUint16(0) * 0x1_0000_0000 + view.getUint32(2);
    const content = openWith(key, counter, head, bytes.subarray(HEAD_BYTES));
    if (content === undefined) return { kind: "forged" };
    // Only what is authentic may take part of the memory, or the window.
    const session = known ?? { key, window: new ReplayWindow() };
    this.#keep(id, session);
    return session.window.accept(counter) ? { kind: "content", content } : { kind: "replayed" };
  }

  #keep(id: string, session: Session): void {
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    if (this.#sessions.size <= MAX_SESSIONS) return;
    const oldest = this.#sessions.keys().next().value;
    if (oldest !== undefined) this.#sessions.delete(oldest);
  }
}
