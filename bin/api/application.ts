import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from "express";
import type { Clock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { Bucket } from "./bucket.ts";
import { checkHost } from "./host.ts";
import { errorAnswer, fromBodyParser, mistakeAnswer, Refusal } from "./refusal.ts";
import type { Answer, Route } from "./routes.ts";
import type { Traffic } from "./traffic.ts";

export interface ApplicationOptions {
  readonly routes: readonly Route[];
  readonly traffic: Traffic;
  readonly clock: Clock;
  readonly log: Log;
}

/** Enough for the longest list of nodes that one request may name. */
const LARGEST_BODY = 1 << 20;
/** Requests that may come at once, and those that may come each second for ever. */
const BURST = 100;
const PER_SECOND = 50;
/** Time for an answer: a store may be slow to write. */
const ANSWER_MS = 30_000;
/** Time for a whole request and its answer to pass; who is slower is cut off. */
const DEADLINE_MS = 45_000;

/** For the browser: it must not guess types, keep, embed or pass on anything. */
const HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  Connection: "close",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/** The routes as an express application: what every request must be before a route sees it, and what every answer looks
 *  like. Connections end with their answer, so that none stays open idle. */
export function application(options: ApplicationOptions): Express {
  const { routes, log } = options;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.enable("case sensitive routing");
  app.use(prepare(options), admit(options.clock));
  for (const path of new Set(routes.map((route) => route.path))) {
    app.all(path, (_request, response, next) => {
      response.locals["route"] = path;
      next();
    });
    addRoutes(app, path, options);
  }
  app.use((request) => {
    const remedy = "GET / lists what there is";
    throw new Refusal(404, "not-found", { tried: triedOf(request), said: "there is no such path", remedy });
  });
  app.use(onError(log));
  return app;
}

function addRoutes(app: Express, path: string, { routes, clock, log }: ApplicationOptions): void {
  const here = routes.filter((route) => route.path === path);
  for (const route of here) {
    const handler: RequestHandler = async (request, response) => {
      const start = request.originalUrl.indexOf("?");
      const query = new URLSearchParams(start < 0 ? "" : request.originalUrl.slice(start + 1));
      const question = { query, body: request.body as unknown };
      send(response, await withinLimit(Promise.resolve(route.answer(question)), triedOf(request), clock));
    };
    if (route.method === "GET") app.get(path, handler);
    else app.post(path, onlyJson, readJson, noteChange(log), handler);
  }
  const allow = here.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method])).join(", ");
  app.all(path, (request) => {
    const details = { tried: triedOf(request), said: `the method must be ${allow}` };
    throw new Refusal(405, "unsupported", details, { Allow: allow });
  });
}

/** Sets the headers, counts the answer, and cuts off who is too slow to ask or to read. */
function prepare({ traffic, clock }: ApplicationOptions): RequestHandler {
  return (request, response, next) => {
    response.set(HEADERS);
    response.locals["route"] = "none";
    const cancel = clock.schedule(DEADLINE_MS, () => void request.socket.destroy());
    response.once("close", () => {
      cancel();
      traffic.count(String(response.locals["route"]), response.statusCode);
    });
    next();
  };
}

/** Lets in what is asked by address, and not too often. */
function admit(clock: Clock): RequestHandler {
  const bucket = new Bucket(BURST, PER_SECOND, clock.monotonic());
  return (request, _response, next) => {
    checkHost(request.headers.host);
    const waitMs = bucket.take(clock.monotonic());
    if (waitMs === 0) return next();
    const said = `there are more than ${PER_SECOND} requests a second`;
    const remedy = "ask less often";
    const headers = { "Retry-After": String(Math.ceil(waitMs / 1000)) };
    throw new Refusal(429, "busy", { tried: triedOf(request), said, remedy }, headers);
  };
}

/** A web page can make a browser send a form here, but not JSON, unless this API agreed to it (CORS), which it never
 *  does. */
const onlyJson: RequestHandler = (request, _response, next) => {
  if (request.is("application/json") === "application/json") return next();
  throw new Refusal(415, "unsupported", {
    tried: triedOf(request),
    said: "the body must be JSON, and say so",
    remedy: "send the header Content-Type: application/json",
  });
};

const parseJson = express.json({ limit: LARGEST_BODY, inflate: false, type: () => true });
const readJson: RequestHandler = (request, response, next) => {
  parseJson(request, response, (error?: unknown) =>
    error === undefined ? next() : next(fromBodyParser(error, triedOf(request), LARGEST_BODY)),
  );
};

/** Everything that may change something is in the log, with what came of it. */
function noteChange(log: Log): RequestHandler {
  return (request, response, next) => {
    const from = request.socket.remoteAddress;
    const asked = triedOf(request);
    response.once("finish", () => log.info("asked for a change", { asked, from, status: response.statusCode }));
    next();
  };
}

function withinLimit(answer: Promise<Answer>, tried: string, clock: Clock): Promise<Answer> {
  const { promise, reject } = Promise.withResolvers<Answer>();
  const cancel = clock.schedule(ANSWER_MS, () => {
    const said = `it took longer than ${ANSWER_MS / 1000} s, and may still be done`;
    reject(new NetError("timeout", { tried, said, remedy: "look what has become of it before you ask again" }));
  });
  return Promise.race([answer, promise]).finally(cancel);
}

function onError(log: Log): ErrorRequestHandler {
  // Express knows a handler of errors by its four parameters.
  return (error: unknown, request, response, _next) => {
    const expected = errorAnswer(error);
    if (expected === undefined) {
      const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error("request failed", { asked: triedOf(request), problem });
    }
    const { status, headers, body } = expected ?? mistakeAnswer(triedOf(request));
    response.set(headers);
    send(response, { status, body });
  };
}

function send(response: Response, { status, body, contentType }: Answer): void {
  response.status(status);
  if (typeof body === "string") response.type(contentType ?? "text/plain").send(body);
  else response.json(body);
}

function triedOf({ method, path }: { readonly method: string; readonly path: string }): string {
  return `${method} ${path.slice(0, 100)}`;
}
