import type { Role, StreamSeal } from "./stream-seal.ts";

/** What a connection needs of its socket: writes some of the bytes and says how many (negative: it is closed). */
export interface Wire {
  write(bytes: Uint8Array): number;
  end(): void;
}

/** Bytes that wait for a slow receiver, at most; beyond, the connection is given up. */
const MAX_WAITING = 8 * 1024 * 1024;

/** One TCP connection between nodes: its seal, and what waits to be sent. */
export class Connection {
  readonly id: string;
  /** Monotonic time of the last use. */
  usedAt: number;
  readonly #role: Role;
  readonly #seal: StreamSeal;
  #wire: Wire | undefined;
  /** Contents that wait for the other side's first bytes. */
  readonly #unsealed: Uint8Array[] = [];
  #waiting: Uint8Array = new Uint8Array(0);
  #waitingBytes = 0;
  #saidHello = false;

  constructor(id: string, role: Role, seal: StreamSeal, now: number) {
    this.id = id;
    this.usedAt = now;
    this.#role = role;
    this.#seal = seal;
  }

  /** The socket is there. Who opened the connection speaks first. */
  open(wire: Wire): void {
    this.#wire = wire;
    if (this.#role === "initiator") this.#sayHello();
  }

  /** Takes bytes; returns the contents of complete frames. Throws a NetError as {@link StreamSeal.receive} does. */
  receive(bytes: Uint8Array): Uint8Array[] {
    const contents = this.#seal.receive(bytes);
    if (this.#seal.isOpen && !this.#saidHello) this.#sayHello();
    if (this.#seal.isOpen) for (const content of this.#unsealed.splice(0)) this.#write(this.#seal.seal(content));
    return contents;
  }

  /** Sends content, now or when the connection is ready. */
  send(content: Uint8Array): void {
    if (this.#seal.isOpen) this.#write(this.#seal.seal(content));
    else this.#unsealed.push(content);
    this.#waitingBytes = this.#waiting.length + this.#unsealed.reduce((sum, { length }) => sum + length, 0);
    if (this.#waitingBytes > MAX_WAITING) this.close();
  }

  /** The socket takes bytes again. */
  drain(): void {
    const bytes = this.#waiting;
    this.#waiting = new Uint8Array(0);
    if (bytes.length > 0) this.#write(bytes);
  }

  close(): void {
    this.#wire?.end();
  }

  #sayHello(): void {
    this.#saidHello = true;
    this.#write(this.#seal.hello());
  }

  #write(bytes: Uint8Array): void {
    const all = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes]);
    const written = this.#waiting.length === 0 ? Math.max(0, this.#wire?.write(all) ?? 0) : 0;
    this.#waiting = written < all.length ? all.slice(written) : new Uint8Array(0);
  }
}
