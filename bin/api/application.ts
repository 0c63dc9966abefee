import type { Clock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { readJson } from "./body.ts";
import { Bucket } from "./bucket.ts";
import { checkHost } from "./host.ts";
import { type ErrorAnswer, errorAnswer, mistakeAnswer, Refusal } from "./refusal.ts";
import { type Answer, JSON_TYPE, type Route } from "./routes.ts";
import type { Traffic } from "./traffic.ts";

export interface ApplicationOptions {
  readonly routes: readonly Route[];
  readonly traffic: Traffic;
  readonly clock: Clock;
  readonly log: Log;
}

/** Answers a request that came from the address `from`. Never rejects. */
export type Application = (request: Request, from: string | undefined) => Promise<Response>;

/** Requests that may come at once, and those that may come each second for ever. */
const BURST = 100;
const PER_SECOND = 50;
/** Requests that are answered at the same time. */
const MOST_AT_ONCE = 64;
/** Time for a body to come. */
const BODY_MS = 15_000;
/** Time for an answer: a store may be slow to write. */
const ANSWER_MS = 30_000;

/** For the browser: it must not guess types, keep, embed or pass on anything. Connections end with their answer, so
 *  that none stays open idle. */
const HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  Connection: "close",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** A request on its way to its answer. */
interface Exchange {
  readonly request: Request;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Method and path, for messages. */
  readonly tried: string;
}

/** The routes as one function from request to response: what every request must be before a route sees it, and what
 *  every answer looks like. */
export function application({ routes, traffic, clock, log }: ApplicationOptions): Application {
  const admit = admission(clock);
  let running = 0;

  async function answerTo(exchange: Exchange): Promise<Answer> {
    const { request, query, tried } = exchange;
    checkHost(request.headers.get("host") ?? undefined);
    admit(tried, running);
    const route = routeOf(routes, exchange);
    const reading = route.method === "POST" ? readJson(request, tried) : undefined;
    const body = await (reading && within(BODY_MS, reading, clock, () => slowAsker(tried)));
    return within(
      ANSWER_MS,
      Promise.resolve(route.answer({ name: nameIn(exchange.path, route), query, body })),
      clock,
      () => slowAnswer(tried),
    );
  }

  return async (request, from) => {
    const exchange = exchangeOf(request);
    running += 1;
    const answer = await answerTo(exchange)
      .catch((error: unknown) => refusalOf(error, exchange, log))
      .finally(() => {
        running -= 1;
      });
    traffic.count(routes.find((route) => isFor(route, exchange.path))?.path ?? "none", answer.status);
    // Everything that may change something is in the log, with what came of it.
    if (request.method === "POST")
      log.info("asked for a change", { asked: exchange.tried, from, status: answer.status });
    return responseOf(answer);
  };
}

/** Path and query as they were sent. The URL that the runtime makes of them isn't one when `Host` is none. */
function exchangeOf(request: Request): Exchange {
  const [, target = ""] = /^(?:[a-z]+:\/\/[^/?#]*)?(.*)$/s.exec(request.url) ?? [];
  const start = target.indexOf("?");
  const path = start < 0 ? target : target.slice(0, start);
  const query = new URLSearchParams(start < 0 ? "" : target.slice(start + 1));
  return { request, path, query, tried: `${request.method} ${path.slice(0, 100)}` };
}

/** Lets requests in that come not too often, and not too many at the same time. */
function admission(clock: Clock): (tried: string, running: number) => void {
  const bucket = new Bucket(BURST, PER_SECOND, clock.monotonic());
  const busy = (tried: string, said: string, waitMs: number) => {
    const headers = { "Retry-After": String(Math.ceil(waitMs / 1000)) };
    return new Refusal(429, "busy", { tried, said, remedy: "ask less often" }, headers);
  };
  return (tried, running) => {
    const waitMs = bucket.take(clock.monotonic());
    if (waitMs > 0) throw busy(tried, `there are more than ${PER_SECOND} requests a second`, waitMs);
    if (running > MOST_AT_ONCE)
      throw busy(tried, `there are more than ${MOST_AT_ONCE} requests at the same time`, 1000);
  };
}

function routeOf(routes: readonly Route[], { request, path, tried }: Exchange): Route {
  const here = routes.filter((route) => isFor(route, path));
  if (here.length === 0) {
    throw new Refusal(404, "not-found", { tried, said: "there is no such path", remedy: "GET / lists what there is" });
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = here.find((each) => each.method === method);
  if (route !== undefined) return route;
  const allow = here.flatMap((each) => (each.method === "GET" ? ["GET", "HEAD"] : [each.method])).join(", ");
  throw new Refusal(405, "unsupported", { tried, said: `the method must be ${allow}` }, { Allow: allow });
}

/** What ends the path of a route that is for many. */
const NAME = "{name}";

function isFor({ path }: Route, asked: string): boolean {
  if (!path.endsWith(NAME)) return path === asked;
  const begin = path.slice(0, -NAME.length);
  return asked.startsWith(begin) && asked.length > begin.length && !asked.includes("/", begin.length);
}

function nameIn(asked: string, { path }: Route): string {
  if (!path.endsWith(NAME)) return "";
  const text = asked.slice(path.length - NAME.length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What `work` gives, unless it takes longer than `limitMs`. */
function within<T>(limitMs: number, work: Promise<T>, clock: Clock, tooLate: () => NetError): Promise<T> {
  const { promise, reject } = Promise.withResolvers<T>();
  const cancel = clock.schedule(limitMs, () => reject(tooLate()));
  return Promise.race([work, promise]).finally(cancel);
}

function slowAsker(tried: string): NetError {
  return new Refusal(408, "timeout", { tried, said: `its body did not come within ${BODY_MS / 1000} s` });
}

function slowAnswer(tried: string): NetError {
  const said = `it took longer than ${ANSWER_MS / 1000} s, and may still be done`;
  return new NetError("timeout", { tried, said, remedy: "look what has become of it before you ask again" });
}

function refusalOf(error: unknown, { tried }: Exchange, log: Log): ErrorAnswer {
  const expected = errorAnswer(error);
  if (expected !== undefined) return expected;
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error("request failed", { asked: tried, problem });
  return mistakeAnswer(tried);
}

function responseOf({ status, body, contentType, headers }: Answer): Response {
  const isPlain = typeof body === "string" || body instanceof ReadableStream;
  const type = isPlain ? (contentType ?? "text/plain; charset=utf-8") : JSON_TYPE;
  return new Response(isPlain ? body : JSON.stringify(body), {
    status,
    headers: { ...HEADERS, "Content-Type": type, ...headers },
  });
}
