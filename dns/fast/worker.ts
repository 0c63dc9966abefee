import { DatagramBatch } from "../../kernel/datagram.ts";
import { DatagramPoll } from "../../kernel/datagram-poll.ts";
import { systemClock } from "../../lib/clock.ts";
import { LARGE_BYTES, RateLimit } from "../rate.ts";
import { HandedQueries } from "./handed.ts";
import { CONTROL, IDLE, LOOK_MS, SOCKET_ROW, SOCKETS_MOST, WAITING_MOST } from "./layout.ts";
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
/** A worker rests when more queries than this have come at once, so that its next answers are sent together: it gains
 *  more than the askers wait. Programs with that many questions on their way don't wait for each. */
const CROWD = 16;
const REST_MICROSECONDS = 20;

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<WorkerStart>) => {
  new QueryWorker(data).serve();
  tell("ended");
};

/** Answers until it is told to end. Its thread does nothing else, so that waiting for datagrams may block it; and
 *  leaves no garbage: the collector, which counts the shared table as this thread's too, would let it grow to more than
 *  that before it came. */
class QueryWorker {
  readonly #control: Int32Array;
  readonly #worker: number;
  readonly #responder: Responder;
  readonly #handed: HandedQueries;
  readonly #batch = new DatagramBatch(BATCH, SLOT_BYTES);
  readonly #poll = new DatagramPoll(SOCKETS_MOST);
  readonly #limit = new RateLimit(crypto.getRandomValues(new Int32Array(1))[0] ?? 0);
  #mayRest = false;

  constructor({ memory, worker, recursion, handed }: WorkerStart) {
    this.#control = new Int32Array(memory);
    this.#worker = worker;
    this.#responder = new Responder(memory, recursion);
    this.#handed = new HandedQueries(handed);
  }

  serve(): void {
    const { fds } = this.#poll;
    while (Atomics.load(this.#control, CONTROL.stop) === 0) {
      this.#takeSockets();
      // With one socket the same call waits and receives.
      if (fds.length === 1) this.#answerBatch(fds[0] ?? -1, true);
      else if (this.#poll.wait(LOOK_MS)) this.#answerReady();
      if (this.#mayRest) this.#poll.rest(REST_MICROSECONDS);
      this.#mayRest = false;
    }
    // No more come by now; those that have come are still answered.
    this.#takeSockets();
    for (const fd of fds) while (this.#answerBatch(fd, false) > 0);
  }

  /** Sockets are added, and stay for as long as there are workers. */
  #takeSockets(): void {
    const row = CONTROL.sockets + this.#worker * SOCKET_ROW;
    const count = Atomics.load(this.#control, row);
    while (this.#poll.fds.length < count) this.#poll.add(this.#control[row + 1 + this.#poll.fds.length] ?? -1);
  }

  #answerReady(): void {
    const { fds } = this.#poll;
    for (let index = 0; index < fds.length; index++)
      if (this.#poll.hasSome(index)) this.#answerBatch(fds[index] ?? -1, false);
  }

  /** Gives how many queries came. */
  #answerBatch(fd: number, wait: boolean): number {
    const batch = this.#batch;
    const received = batch.receive(fd, wait);
    let isHanding = false;
    Atomics.store(this.#control, CONTROL.workers + this.#worker, Atomics.load(this.#control, CONTROL.epoch));
    for (let index = 0; index < received; index++) {
      const reply = this.#respond(index);
      if (reply > 0) batch.reply(index, reply);
      else if (batch.lengthOf(index) > 0) isHanding = this.#handOver(fd, index) || isHanding;
    }
    Atomics.store(this.#control, CONTROL.workers + this.#worker, IDLE);
    if (batch.nextReply > 0) {
      const messages = batch.send(fd);
      // A full batch means that more are there; and nothing is gained where each answer is for somebody else.
      if (received > CROWD && received < BATCH && messages * 1.25 <= received) this.#mayRest = true;
      Atomics.add(this.#control, CONTROL.answered + this.#worker, batch.nextReply);
    }
    if (isHanding && this.#handed.mustTell()) tell("handed");
    return received;
  }

  /** Bytes of the reply, which is in the slot of the next one; 0 when the main thread must answer. */
  #respond(index: number): number {
    const { input, output, sources, nextReply } = this.#batch;
    const out = this.#batch.offsetOf(nextReply);
    const reply = this.#responder.respond(input, this.#batch.offsetOf(index), this.#batch.lengthOf(index), output, out);
    if (reply <= LARGE_BYTES) return reply;
    const allowed = this.#limit.allows(sources, this.#batch.sourceOffset(index), systemClock.monotonic());
    return allowed ? reply : this.#responder.cut(output, out);
  }

  /** False when too many wait already; the query is lost then, as in a full socket. */
  #handOver(fd: number, index: number): boolean {
    const control = this.#control;
    const batch = this.#batch;
    if (Atomics.load(control, CONTROL.waiting) >= WAITING_MOST) return false;
    Atomics.add(control, CONTROL.waiting, 1);
    const at = batch.offsetOf(index);
    const from = batch.sourceOffset(index);
    if (this.#handed.put(fd, batch.input, at, batch.lengthOf(index), batch.sources, from)) return true;
    Atomics.sub(control, CONTROL.waiting, 1);
    return false;
  }
}

function tell(news: WorkerNews): void {
  self.postMessage(news);
}
