import { chmodSync, renameSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { messageOf, NetError } from "../lib/error.ts";
import { type Answer, failed } from "./answer.ts";

/** Largest body, bytes. A request with a thousand port mappings has a tenth of it. */
const BODY_LIMIT = 1 << 20;
/** Longest time to send a request, milliseconds. */
const REQUEST_LIMIT_MS = 10_000;
/** What plugins of Docker answer with. */
const CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json";

/** Answers the method of a path's last part. */
export type AnswerCall = (method: string, text: string) => Promise<Answer>;

/** A plugin socket that listens. */
export interface PluginSocket {
  /** Ends it and removes its file, which a later process may have replaced by its own. */
  close(): Promise<void>;
}

/** Serves the plugin protocol on a unix socket at `path`, for root only. It takes the place of a file that is there in
 *  one step, so that Docker finds a socket that is open at all times. Rejects with `io` when it can't listen. */
export async function openPluginSocket(path: string, answer: AnswerCall): Promise<PluginSocket> {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(express.raw({ type: () => true, limit: BODY_LIMIT }));
  app.post("/:method", reply(answer));
  app.use((request, response) => {
    send(response, failed(404, `there is nothing at ${request.method} ${request.path.slice(0, 100)}`));
  });
  app.use(refuse);
  const server = createServer({ requestTimeout: REQUEST_LIMIT_MS }, app);
  // Docker discovers files that end in .sock; this one doesn't yet.
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    rmSync(temporary, { force: true });
    await listen(server, temporary);
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
  } catch (error) {
    server.close();
    throw new NetError("io", { tried: `listen on ${path}`, said: messageOf(error), cause: error });
  }
  const own = inodeOf(path);
  return {
    async close() {
      if (own !== undefined && inodeOf(path) === own) rmSync(path, { force: true });
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function reply(answer: AnswerCall): RequestHandler<{ method: string }> {
  return async (request, response) => {
    const text = request.body instanceof Uint8Array ? new TextDecoder().decode(request.body) : "";
    send(response, await answer(request.params.method, text));
  };
}

/** A body that is too large, or broken off. */
const refuse: ErrorRequestHandler = (error, _request, response, _next) => {
  const status = typeof error?.status === "number" ? error.status : 500;
  send(response, failed(status, `cannot read the request: ${messageOf(error)}`));
};

function send(response: Parameters<RequestHandler>[1], { status, body }: Answer): void {
  response.status(status).set("Content-Type", CONTENT_TYPE).send(JSON.stringify(body));
}

/** The umask makes the file root's from the first moment. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const before = process.umask(0o177);
    server.once("error", reject);
    server.listen(path, () => resolve());
    process.umask(before);
  });
}

function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}
