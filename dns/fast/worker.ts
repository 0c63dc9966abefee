import { DatagramBatch, DatagramWait } from "../../kernel/datagram.ts";
import { systemClock } from "../../lib/clock.ts";
import { LARGE_BYTES, RateLimit } from "../rate.ts";
import { HandedQueries } from "./handed.ts";
import { CONTROL, IDLE, LOOK_MS, SOCKET_ROW, WAITING_MOST } from "./layout.ts";
import { Responder } from "./responder.ts";

/** What a worker is started with. */
export interface WorkerStart {
  readonly memory: SharedArrayBuffer;
  /** Its number, from 0. */
  readonly worker: number;
  readonly recursion: boolean;
  /** Where it puts what it leaves to the main thread: the memory of a {@link HandedQueries}. */
  readonly handed: SharedArrayBuffer;
}

/** What a worker tells: that there are queries for the main thread, or that it has ended. */
export type WorkerNews = "handed" | "ended";

const BATCH = 64;
/** Longer queries are answered by nobody: none that is meant well is. */
const SLOT_BYTES = 2048;

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<WorkerStart>) => new Serving(data).run();

/** A worker at work. Its thread does nothing else, so that waiting for datagrams may block it; and leaves no garbage:
 *  the collector, which counts the shared table as this thread's too, would let it grow to more than that before it
 *  came. */
class Serving {
  readonly #control: Int32Array;
  readonly #worker: number;
  readonly #responder: Responder;
  readonly #handed: HandedQueries;
  readonly #batch = new DatagramBatch(BATCH, SLOT_BYTES);
  readonly #limit = new RateLimit(crypto.getRandomValues(new Int32Array(1))[0] ?? 0);
  #fds: readonly number[] = [];
  #wait = new DatagramWait([], LOOK_MS);

  constructor({ memory, worker, recursion, handed }: WorkerStart) {
    this.#control = new Int32Array(memory);
    this.#worker = worker;
    this.#responder = new Responder(memory, recursion);
    this.#handed = new HandedQueries(handed);
  }

  /** Answers until it is told to end. */
  run(): void {
    while (Atomics.load(this.#control, CONTROL.stop) === 0) {
      this.#takeSockets();
      // With one socket the same call waits and receives.
      const isAlone = this.#fds.length === 1;
      if (this.#answerAll(isAlone) === 0 && !isAlone) this.#wait.wait();
    }
    this.#takeSockets();
    // No more come by now; those that have come are still answered.
    while (this.#answerAll(false) > 0);
    tell("ended");
  }

  /** Sockets come, and never go. */
  #takeSockets(): void {
    const row = CONTROL.sockets + this.#worker * SOCKET_ROW;
    const count = Atomics.load(this.#control, row);
    if (count === this.#fds.length) return;
    this.#fds = Array.from(this.#control.subarray(row + 1, row + 1 + count));
    this.#wait = new DatagramWait(this.#fds, LOOK_MS);
  }

  /** How many datagrams came. */
  #answerAll(wait: boolean): number {
    let received = 0;
    for (const fd of this.#fds) received += this.#answerBatch(fd, wait);
    return received;
  }

  #answerBatch(fd: number, wait: boolean): number {
    const control = this.#control;
    const batch = this.#batch;
    const received = batch.receive(fd, wait);
    let isHanding = false;
    Atomics.store(control, CONTROL.workers + this.#worker, Atomics.load(control, CONTROL.epoch));
    for (let index = 0; index < received; index++) {
      const length = batch.lengthOf(index);
      const reply = this.#answer(index, length);
      if (reply > 0) batch.reply(index, reply);
      else if (length > 0) isHanding = this.#handOver(fd, index, length) || isHanding;
    }
    Atomics.store(control, CONTROL.workers + this.#worker, IDLE);
    if (batch.nextReply > 0) {
      batch.send(fd);
      Atomics.add(control, CONTROL.answered + this.#worker, batch.nextReply);
    }
    if (isHanding && this.#handed.mustTell()) tell("handed");
    return received;
  }

  /** Bytes of the reply, which is written to the next slot; 0 where the main thread must answer. */
  #answer(index: number, length: number): number {
    const batch = this.#batch;
    const to = batch.offsetOf(batch.nextReply);
    const reply = this.#responder.respond(batch.input, batch.offsetOf(index), length, batch.output, to);
    if (reply <= LARGE_BYTES) return reply;
    const mayBeLarge = this.#limit.allows(batch.sources, batch.sourceOffset(index), systemClock.monotonic());
    return mayBeLarge ? reply : this.#responder.cut(batch.output, to);
  }

  /** False when too many wait already; the query is lost then, as in a full socket. */
  #handOver(fd: number, index: number, length: number): boolean {
    const control = this.#control;
    const batch = this.#batch;
    if (Atomics.load(control, CONTROL.waiting) >= WAITING_MOST) return false;
    Atomics.add(control, CONTROL.waiting, 1);
    const from = batch.sourceOffset(index);
    if (this.#handed.put(fd, batch.input, batch.offsetOf(index), length, batch.sources, from)) return true;
    Atomics.sub(control, CONTROL.waiting, 1);
    return false;
  }
}

function tell(news: WorkerNews): void {
  self.postMessage(news);
}
