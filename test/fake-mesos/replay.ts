import type { HttpAnswer, HttpSend } from "../../facts/sources/mesos-http.ts";
import { encodeRecord } from "../../facts/sources/mesos-recordio.ts";

/** A captured stream: whole `.recordio` bytes, or JSON lines put into records. */
export function recordedStream(bytes: Uint8Array, format: "recordio" | "lines"): Uint8Array {
  if (format === "recordio") return bytes;
  const lines = new TextDecoder().decode(bytes).split("\n");
  const encoder = new TextEncoder();
  return Buffer.concat(lines.filter((line) => line.trim() !== "").map((line) => encodeRecord(encoder.encode(line))));
}

/** What a replaying master sends to one subscriber. */
export interface Replay {
  readonly bytes: Uint8Array;
  /** Length of the pieces; all at once when absent. */
  readonly piece?: number;
  /** Afterwards nothing more comes and the connection stays; otherwise the body ends. */
  readonly hangs: boolean;
}

/** A master that gives each subscriber the next of these streams, and the last one to all that follow. In memory: no
 *  sockets, no time of its own. */
export function replayingMaster(replays: readonly Replay[]): HttpSend {
  let next = 0;
  return async ({ signal }) => {
    const replay = replays[Math.min(next, replays.length - 1)];
    next += 1;
    if (replay === undefined) throw new Error("nothing to replay");
    return answerWith(200, replayBody(replay, signal));
  };
}

/** Lets everything happen that needs no time to pass: all promises that settle, however many in a row. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** An answer in memory. */
export function answerWith(
  status: number,
  body: AsyncIterable<Uint8Array>,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return { status, body, header: (name) => headers[name] };
}

async function* replayBody({ bytes, piece = bytes.length, hangs }: Replay, signal: AbortSignal) {
  for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
  if (hangs) {
    await new Promise<void>((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }
}
