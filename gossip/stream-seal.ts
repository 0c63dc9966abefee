import { toHex } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import { openWith, sealWith, TAG_BYTES } from "./cipher.ts";
import { derive, FINGERPRINT_BYTES, type KeyRing, keyOf } from "./key.ts";
import { MAGIC } from "./seal.ts";
import { WIRE } from "./settings.ts";

// A stream begins, in both directions, with "DN", format, fingerprint of the cluster key and 16 random bytes. Then come
// frames: length of the sealed content in four bytes, sealed content. Both sides' random bytes go into the key of each
// direction, so nothing recorded from another connection opens here.

export const STREAM_NONCE_BYTES = 16;
const HELLO_BYTES = MAGIC.length + FINGERPRINT_BYTES + STREAM_NONCE_BYTES;
const LENGTH_BYTES = 4;

export type Role = "initiator" | "acceptor";

/** The seal of one connection. Bytes go in as they arrive, frames come out; at anything that isn't authentic it throws
 *  and the connection is of no use any more. */
export class StreamSeal {
  readonly #role: Role;
  readonly #ring: KeyRing;
  readonly #nonce: Uint8Array;
  #buffer: Uint8Array = new Uint8Array(0);
  #sendKey: Uint8Array | undefined;
  #receiveKey: Uint8Array | undefined;
  #sent = 0;
  #received = 0;

  /** `nonce` is random, drawn for this connection. */
  constructor(role: Role, ring: KeyRing, nonce: Uint8Array) {
    this.#role = role;
    this.#ring = ring;
    this.#nonce = nonce;
  }

  /** True once frames can be sealed: the other side's first bytes have come. */
  get isOpen(): boolean {
    return this.#sendKey !== undefined;
  }

  /** What this side sends first. */
  hello(): Uint8Array {
    return Buffer.concat([MAGIC, this.#ring.primary.fingerprint, this.#nonce]);
  }

  /** Takes bytes of the other side; returns the contents of the frames that are complete. Throws a NetError:
   *  `permission` when the other side has another key, `unsupported` when it has another format, `invalid` when
   *  anything is forged. */
  receive(chunk: Uint8Array): Uint8Array[] {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    if (this.#receiveKey === undefined && !this.#takeHello()) return [];
    const contents: Uint8Array[] = [];
    for (let content = this.#takeFrame(); content !== undefined; content = this.#takeFrame()) contents.push(content);
    // What is left must not keep the whole chunk in memory, nor change with it.
    this.#buffer = new Uint8Array(this.#buffer);
    return contents;
  }

  seal(content: Uint8Array): Uint8Array {
    if (this.#sendKey === undefined) throw new Error("the stream isn't open yet");
    const head = new Uint8Array(LENGTH_BYTES);
    new DataView(head.buffer).setUint32(0, content.length + TAG_BYTES);
    return Buffer.concat([head, sealWith(this.#sendKey, this.#sent++, head, content)]);
  }

  #takeHello(): boolean {
    const bytes = this.#buffer;
    const isOurs = bytes.subarray(0, 2).every((byte, index) => byte === MAGIC[index]);
    if (!isOurs) throw refusal("invalid", "it isn't a dcos-net stream");
    if (bytes.length > 2 && bytes[2] !== MAGIC[2]) throw refusal("unsupported", `it has format ${bytes[2]}`);
    if (bytes.length < HELLO_BYTES) return false;
    const fingerprint = bytes.subarray(MAGIC.length, MAGIC.length + FINGERPRINT_BYTES);
    const key = keyOf(this.#ring, fingerprint);
    if (key === undefined) throw refusal("permission", `it is sealed with the key ${toHex(fingerprint)}`);
    const theirs = bytes.subarray(MAGIC.length + FINGERPRINT_BYTES, HELLO_BYTES);
    const salt = Buffer.concat(this.#role === "initiator" ? [this.#nonce, theirs] : [theirs, this.#nonce]);
    const other = this.#role === "initiator" ? "acceptor" : "initiator";
    this.#sendKey = derive(this.#ring.primary.material, salt, `stream from ${this.#role}`);
    this.#receiveKey = derive(key.material, salt, `stream from ${other}`);
    this.#buffer = bytes.subarray(HELLO_BYTES);
    return true;
  }

  #takeFrame(): Uint8Array | undefined {
    const bytes = this.#buffer;
    if (this.#receiveKey === undefined || bytes.length < LENGTH_BYTES) return undefined;
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    if (length > WIRE.frame || length < TAG_BYTES) throw refusal("invalid", `it has a frame of ${length} bytes`);
    const end = LENGTH_BYTES + length;
    if (bytes.length < end) return undefined;
    const content = openWith(
      this.#receiveKey,
      this.#received++,
      bytes.subarray(0, LENGTH_BYTES),
      bytes.subarray(LENGTH_BYTES, end),
    );
    if (content === undefined) throw refusal("invalid", "a frame is forged");
    this.#buffer = bytes.subarray(end);
    return content;
  }
}

function refusal(code: "invalid" | "permission" | "unsupported", said: string): NetError {
  return new NetError(code, { tried: "read a gossip stream", said });
}
