import { DatagramBatch, waitForDatagram } from "../../kernel/datagram.ts";
import { systemClock } from "../../lib/clock.ts";
import { LARGE_BYTES, RateLimit } from "../rate.ts";
import { CONTROL, IDLE, LOOK_MS, SOCKET_ROW, WAITING_MOST } from "./layout.ts";
import { Responder } from "./responder.ts";

/** What a worker is started with. */
export interface WorkerStart {
  readonly memory: SharedArrayBuffer;
  /** Its number, from 0. */
  readonly worker: number;
  readonly recursion: boolean;
}

/** A query that a worker leaves to the main thread, which answers through the same socket. */
export interface Handed {
  readonly fd: number;
  readonly message: Uint8Array;
  /** Whom to answer, as a struct sockaddr. */
  readonly source: Uint8Array;
}

const BATCH = 64;
/** Longer queries are answered by nobody: none that is meant well is. */
const SLOT_BYTES = 2048;

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<WorkerStart>) => serve(data);

/** Answers until it is told to end. This thread does nothing else, so that waiting for datagrams may block it. */
function serve({ memory, worker, recursion }: WorkerStart): void {
  const control = new Int32Array(memory);
  const responder = new Responder(memory, recursion);
  const batch = new DatagramBatch(BATCH, SLOT_BYTES);
  const limit = new RateLimit(crypto.getRandomValues(new Int32Array(1))[0] ?? 0);
  while (Atomics.load(control, CONTROL.stop) === 0) {
    const fds = socketsOf(control, worker);
    // With one socket the same call waits and receives.
    const alone = fds.length === 1;
    let received = 0;
    for (const fd of fds) received += answerBatch(fd, alone, batch, responder, limit, control, worker);
    if (received === 0 && !alone) waitForDatagram(fds, LOOK_MS);
  }
  // No more come by now; those that have come are still answered.
  for (const fd of socketsOf(control, worker)) {
    while (answerBatch(fd, false, batch, responder, limit, control, worker) > 0);
  }
  self.postMessage("ended");
}

function socketsOf(control: Int32Array, worker: number): number[] {
  const row = CONTROL.sockets + worker * SOCKET_ROW;
  const count = Atomics.load(control, row);
  return Array.from(control.subarray(row + 1, row + 1 + count));
}

function answerBatch(
  fd: number,
  wait: boolean,
  batch: DatagramBatch,
  responder: Responder,
  limit: RateLimit,
  control: Int32Array,
  worker: number,
): number {
  const received = batch.receive(fd, wait);
  Atomics.store(control, CONTROL.workers + worker, Atomics.load(control, CONTROL.epoch));
  for (let index = 0; index < received; index++) {
    const at = batch.offsetOf(index);
    const length = batch.lengthOf(index);
    const reply = responder.respond(batch.input, at, length, batch.output, batch.offsetOf(batch.nextReply));
    if (reply > LARGE_BYTES && !limit.allows(batch.sources, batch.sourceOffset(index), systemClock.monotonic()))
      batch.reply(index, responder.cut(batch.output, batch.offsetOf(batch.nextReply)));
    else if (reply > 0) batch.reply(index, reply);
    else if (length > 0) handOver(fd, batch, index, control);
  }
  Atomics.store(control, CONTROL.workers + worker, IDLE);
  if (batch.nextReply > 0) {
    batch.send(fd);
    Atomics.add(control, CONTROL.answered + worker, batch.nextReply);
  }
  return received;
}

function handOver(fd: number, batch: DatagramBatch, index: number, control: Int32Array): void {
  if (Atomics.load(control, CONTROL.waiting) >= WAITING_MOST) return;
  Atomics.add(control, CONTROL.waiting, 1);
  const at = batch.offsetOf(index);
  const message = batch.input.slice(at, at + batch.lengthOf(index));
  const handed: Handed = { fd, message, source: batch.source(index) };
  self.postMessage(handed);
}
