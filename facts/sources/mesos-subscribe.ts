import { messageOf, NetError } from "../../lib/error.ts";
import { type JsonObject, memberOf, objectOf } from "../task-mesos-json.ts";
import { type Caller, callMesos, type HttpAnswer, refusalOf } from "./mesos-http.ts";
import { redirectTarget } from "./mesos-leader.ts";
import { RecordDecoder } from "./mesos-recordio.ts";

export interface SubscribeLimits {
  /** Bytes of the largest record; the first one holds the whole cluster. */
  readonly recordBytes: number;
  /** Time to an answer's headers, milliseconds. */
  readonly answerMs: number;
  /** Time from the headers to the end of the first record, milliseconds. */
  readonly snapshotMs: number;
  /** Heartbeats that may be missing before the stream counts as dead. */
  readonly heartbeats: number;
}

export const DEFAULT_LIMITS: SubscribeLimits = {
  recordBytes: 256 * 1024 * 1024,
  answerMs: 10_000,
  snapshotMs: 120_000,
  heartbeats: 3,
};

/** Heartbeat interval when SUBSCRIBED names none, and the bounds between which we believe it, seconds. */
const HEARTBEAT_SECONDS = { usual: 15, least: 1, most: 300 };
const LONGEST_REDIRECT_CHAIN = 3;

export interface Subscription {
  readonly caller: Caller;
  /** Base URL of a master; redirects are followed from there. */
  readonly base: string;
  /** Ends the subscription. */
  readonly signal: AbortSignal;
  readonly limits: SubscribeLimits;
  /** Each event in order, heartbeats included. */
  readonly onEvent: (event: JsonObject) => void;
  /** After the events that arrived together. */
  readonly onPause: () => void;
}

/** Subscribes to a master's operator events and hands them on until the stream ends, which it always does by throwing:
 *  a NetError that tells why, `unavailable` for everything that another attempt may mend. */
export async function subscribe(subscription: Subscription): Promise<never> {
  const { url, answer } = await open(subscription);
  const { clock } = subscription.caller;
  const silence = new AbortController();
  let allowedMs = subscription.limits.snapshotMs;
  const onSilence = (): void => silence.abort(new Error(`nothing for ${allowedMs} ms`));
  let cancel = clock.schedule(allowedMs, onSilence);
  const decoder = new RecordDecoder(subscription.limits.recordBytes);
  const takePiece = (piece: Uint8Array): void => {
    for (const record of decoder.push(piece)) {
      const event = eventOf(record, url);
      allowedMs = silenceAfter(event, subscription.limits) ?? allowedMs;
      cancel();
      cancel = clock.schedule(allowedMs, onSilence);
      subscription.onEvent(event);
    }
    subscription.onPause();
  };
  try {
    await readPieces(answer, AbortSignal.any([subscription.signal, silence.signal]), takePiece);
  } catch (error) {
    if (error instanceof NetError) throw error;
    const said = messageOf(silence.signal.aborted ? silence.signal.reason : error);
    throw new NetError("unavailable", { tried: `read the events of ${url}`, said, cause: error });
  } finally {
    cancel();
  }
  const said = decoder.atBorder ? "the master ended the stream" : "the stream broke off inside a record";
  throw new NetError("unavailable", { tried: `read the events of ${url}`, said });
}

async function open({ caller, base, signal, limits }: Subscription): Promise<{ url: string; answer: HttpAnswer }> {
  let url = `${base}/api/v1`;
  for (let hop = 0; hop <= LONGEST_REDIRECT_CHAIN; hop++) {
    const answer = await callMesos(caller, { url, type: "SUBSCRIBE", timeoutMs: limits.answerMs, signal });
    if (answer.status === 200) return { url, answer };
    const target = redirectTarget(url, answer.status, answer.header("location"));
    if (target === undefined) throw await refusalOf(answer, url);
    for await (const _ of answer.body) break;
    url = target;
  }
  throw new NetError("unavailable", {
    tried: `find the leading Mesos master from ${base}`,
    said: `more than ${LONGEST_REDIRECT_CHAIN} redirects, the last to ${url}`,
  });
}

/** Hands on pieces until the body ends. An end of `signal` counts at once, even if the body goes on waiting. Not by
 *  Promise.race with one promise for the signal: that promise would hold every piece until the stream ends. */
async function readPieces(answer: HttpAnswer, signal: AbortSignal, take: (piece: Uint8Array) => void): Promise<void> {
  const pieces = answer.body[Symbol.asyncIterator]();
  let giveUp: (reason: unknown) => void = () => {};
  signal.addEventListener("abort", () => giveUp(signal.reason), { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = reject;
        pieces.next().then(resolve, reject);
      });
      if (next.done) return;
      take(next.value);
    }
  } finally {
    // A body whose connection is gone may never answer; nobody waits for it.
    pieces.return?.()?.catch(() => {});
  }
}

function eventOf(record: Uint8Array, url: string): JsonObject {
  if (record.length === 0) return {};
  try {
    return objectOf(JSON.parse(new TextDecoder().decode(record)));
  } catch (error) {
    throw new NetError("invalid", { tried: `read an event of ${url}`, said: messageOf(error), cause: error });
  }
}

function silenceAfter(event: JsonObject, { heartbeats }: SubscribeLimits): number | undefined {
  if (event["type"] !== "SUBSCRIBED") return undefined;
  const said = memberOf(event, "subscribed", "heartbeat_interval_seconds");
  const seconds = typeof said === "number" ? said : HEARTBEAT_SECONDS.usual;
  return heartbeats * 1000 * Math.min(HEARTBEAT_SECONDS.most, Math.max(HEARTBEAT_SECONDS.least, seconds));
}
