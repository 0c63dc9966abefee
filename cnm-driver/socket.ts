import { chmodSync, renameSync, rmSync, statSync } from "node:fs";
import { messageOf, NetError } from "../lib/error.ts";
import { type Answer, failed } from "./answer.ts";

/** Largest body, bytes. A request with a thousand port mappings has a tenth of it. */
const BODY_LIMIT = 1 << 20;
/** What plugins of Docker answer with. */
const CONTENT_TYPE = "application/vnd.docker.plugins.v1.2+json";

/** Answers the method of a path. */
export type AnswerCall = (method: string, text: string) => Promise<Answer>;

/** A plugin socket that listens. */
export interface PluginSocket {
  /** Ends it and removes its file, which a later process may have replaced by its own. */
  close(): Promise<void>;
}

/** Serves the plugin protocol on a unix socket at `path`, for root only. It takes the place of a file that is there in
 *  one step, so that Docker finds a socket that is open at all times. Throws `io` when it can't listen. */
export function openPluginSocket(path: string, answer: AnswerCall): PluginSocket {
  // Docker discovers files that end in .sock; this one doesn't yet.
  const temporary = `${path}.${process.pid}.tmp`;
  let server: Bun.Server<undefined> | undefined;
  try {
    rmSync(temporary, { force: true });
    server = listen(temporary, answer);
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
  } catch (error) {
    void server?.stop(true);
    throw new NetError("io", { tried: `listen on ${path}`, said: messageOf(error), cause: error });
  }
  const own = inodeOf(path);
  const open = server;
  return {
    async close() {
      if (own !== undefined && inodeOf(path) === own) rmSync(path, { force: true });
      await open.stop(true);
    },
  };
}

/** The umask makes the file root's from the first moment. */
function listen(unix: string, answer: AnswerCall): Bun.Server<undefined> {
  const before = process.umask(0o177);
  try {
    return Bun.serve({
      unix,
      // Its error pages would show parts of the program.
      development: false,
      maxRequestBodySize: BODY_LIMIT,
      fetch: async (request) => responseOf(await reply(request, answer)),
      error: (error) => responseOf(failed(500, messageOf(error))),
    });
  } finally {
    process.umask(before);
  }
}

/** The path of a request's URL, when it is one word. The host before it is whatever the engine wrote there: 20.10
 *  writes the socket's own path, which no URL parser takes. */
const METHOD_PATH = /^(?:\w+:\/\/[^/]*)?\/([^/?#]+)$/;

async function reply(request: Request, answer: AnswerCall): Promise<Answer> {
  const [, method] = METHOD_PATH.exec(request.url) ?? [];
  if (request.method === "POST" && method !== undefined) return answer(method, await request.text());
  return failed(404, `there is nothing at ${request.method} ${request.url.slice(0, 200)}`);
}

function responseOf({ status, body }: Answer): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": CONTENT_TYPE } });
}

function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}
