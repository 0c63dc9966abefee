import { closeDatagram, openDatagram, portOf, retireDatagram } from "../../kernel/datagram.ts";
import type { Ip } from "../../lib/address.ts";
import { type Handed, HandedQueries } from "./handed.ts";
import { CONTROL, LOOK_MS, SOCKET_ROW, SOCKETS_MOST } from "./layout.ts";
import type { SharedTable } from "./table.ts";
import type { WorkerNews, WorkerStart } from "./worker.ts";

/** Receive buffer of each socket, bytes: what comes while a worker is busy elsewhere. */
const RECEIVE_BYTES = 1 << 20;

/** Where the threads' code is. The executable holds it under its path in the tree; an absolute path, so that no file
 *  of the working directory can take its place. */
const WORKER = import.meta.url.includes("/$bunfs/")
  ? "/$bunfs/root/dns/fast/worker.js"
  : new URL("./worker.ts", import.meta.url).href;

export interface WorkersOptions {
  readonly table: SharedTable;
  /** How many, 1 … 64. */
  readonly count: number;
  /** The RA flag of answers. */
  readonly recursion: boolean;
  /** Takes what the workers can't answer. */
  readonly onHanded: (query: Handed) => void;
  /** Told when a thread can't go on. */
  readonly onFailure: (message: string) => void;
}

/** The threads that answer over UDP. Every address has a socket for each of them; the kernel spreads askers over
 *  them. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #control: Int32Array;
  readonly #threads: Worker[] = [];
  /** Resolve when a thread is done, or has failed. */
  readonly #ended: Promise<void>[] = [];
  readonly #sockets: { readonly fd: number; readonly ip: Ip }[] = [];

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#control = new Int32Array(options.table.memory);
    for (let worker = 0; worker < options.count; worker++) this.#start(worker);
  }

  /** Begins to serve an address too; port 0 lets the kernel choose. Gives the port. Throws a NetError when it can't be
   *  had. */
  listen(ip: Ip, port: number): number {
    const opened: number[] = [];
    try {
      for (let worker = 0; worker < this.#options.count; worker++) {
        const first = opened[0];
        const asked = first === undefined ? port : portOf(first);
        opened.push(openDatagram({ ip, port: asked, receiveBytes: RECEIVE_BYTES, waitMs: LOOK_MS }));
      }
    } catch (error) {
      for (const fd of opened) closeDatagram(fd);
      throw error;
    }
    for (const [worker, fd] of opened.entries()) this.#give(worker, fd);
    this.#sockets.push(...opened.map((fd) => ({ fd, ip })));
    return portOf(opened[0] ?? -1);
  }

  /** A query that was handed over is done with. */
  finished(): void {
    Atomics.sub(this.#control, CONTROL.waiting, 1);
  }

  /** Queries that the workers answered by themselves, since the start. */
  answered(): number {
    const counts = this.#control.subarray(CONTROL.answered, CONTROL.answered + this.#options.count);
    return counts.reduce((sum, count) => sum + (count >>> 0), 0);
  }

  /** Queries that were handed over and aren't done with. */
  waiting(): number {
    return Atomics.load(this.#control, CONTROL.waiting);
  }

  /** Takes no more queries, and ends the threads once they have answered those that are there. Others that share the
   *  addresses get what comes from now on. */
  async end(): Promise<void> {
    for (const { fd, ip } of this.#sockets) retireDatagram(fd, ip);
    Atomics.store(this.#control, CONTROL.stop, 1);
    await Promise.all(this.#ended);
    for (const thread of this.#threads) thread.terminate();
  }

  /** Closes the sockets, after `end`. */
  close(): void {
    for (const { fd } of this.#sockets) closeDatagram(fd);
  }

  #start(worker: number): void {
    const { table, recursion, onHanded, onFailure } = this.#options;
    const thread = new Worker(WORKER);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended.push(promise);
    const handed = new HandedQueries();
    thread.addEventListener("message", ({ data }: MessageEvent<WorkerNews>) => {
      if (data === "ended") resolve();
      else for (const query of handed.take()) onHanded(query);
    });
    thread.addEventListener("error", ({ message }) => {
      onFailure(message);
      resolve();
    });
    const start: WorkerStart = { memory: table.memory, worker, recursion, handed: handed.memory };
    thread.postMessage(start);
    this.#threads.push(thread);
  }

  #give(worker: number, fd: number): void {
    const row = CONTROL.sockets + worker * SOCKET_ROW;
    const count = this.#control[row] ?? 0;
    if (count >= SOCKETS_MOST) throw new Error(`more than ${SOCKETS_MOST} addresses`);
    this.#control[row + 1 + count] = fd;
    Atomics.store(this.#control, row, count + 1);
  }
}
