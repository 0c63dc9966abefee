import { request } from "node:http";
import { type ErrorCode, messageOf, NetError } from "../../lib/error.ts";
import { isObject } from "../../overlay/section.ts";

/** Where an agent's API is. */
export interface ApiAddress {
  readonly address: string;
  readonly port: number;
}

/** Longer than the API takes for any answer. */
const LIMIT_MS = 60_000;
const LARGEST_ANSWER = 64 * 1024 * 1024;

/** Asks the agent's API, with POST when there is a body. Throws the NetError that the API answered with; `unavailable`
 *  when no agent is there; `unsupported` when something else is.
 *
 *  By node:http, because Bun's `fetch` would ask a proxy that the environment names even for a loopback address. */
export async function askApi(at: ApiAddress, path: string, body?: object): Promise<unknown> {
  const where = `${at.address.includes(":") ? `[${at.address}]` : at.address}:${at.port}`;
  const tried = `ask the agent at ${where}`;
  const { status, text } = await exchange(at, path, body).catch((cause: unknown) => {
    throw noAnswer(tried, cause);
  });
  const answer = parse(text, tried);
  if (status === 200) return answer;
  throw errorOf(answer) ?? foreign(tried, `status ${status}`);
}

/** All entries of a list that comes in pages, `entriesOf` each page. Filters that are undefined are left out. */
export async function askPages<P extends { readonly next?: string }, T>(
  at: ApiAddress,
  path: string,
  filters: Readonly<Record<string, string | undefined>>,
  entriesOf: (page: P) => readonly T[],
): Promise<T[]> {
  const query = new URLSearchParams({ limit: "1000" });
  for (const [key, value] of Object.entries(filters)) if (value !== undefined) query.set(key, value);
  const entries: T[] = [];
  for (;;) {
    const page = (await askApi(at, `${path}?${query}`)) as P;
    entries.push(...entriesOf(page));
    if (page.next === undefined) return entries;
    query.set("after", page.next);
  }
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

function exchange({ address, port }: ApiAddress, path: string, body: object | undefined): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const content = body === undefined ? undefined : JSON.stringify(body);
  const headers = content === undefined ? {} : { "Content-Type": "application/json" };
  const method = content === undefined ? "GET" : "POST";
  const signal = AbortSignal.timeout(LIMIT_MS);
  const asked = request({ host: address, port, path, method, headers, signal, agent: false }, (response) => {
    const parts: Uint8Array[] = [];
    let size = 0;
    response.on("data", (part: Uint8Array) => {
      parts.push(part);
      size += part.length;
      if (size > LARGEST_ANSWER) response.destroy(new Error(`it answers more than ${LARGEST_ANSWER} bytes`));
    });
    response.once("error", reject);
    response.once("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
  });
  asked.once("error", reject);
  asked.end(content);
  return promise;
}

function parse(text: string, tried: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw foreign(tried, "it doesn't answer in JSON");
  }
}

/** The NetError in an answer's body; undefined when there is none. */
function errorOf(answer: unknown): NetError | undefined {
  const error = isObject(answer) ? answer["error"] : undefined;
  if (!isObject(error)) return undefined;
  const { code, tried, said, remedy } = error;
  if (typeof code !== "string" || typeof tried !== "string") return undefined;
  return new NetError(code as ErrorCode, {
    tried,
    ...(typeof said === "string" && { said }),
    ...(typeof remedy === "string" && { remedy }),
  });
}

function noAnswer(tried: string, cause: unknown): NetError {
  const isRefused = cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
  return new NetError("unavailable", {
    tried,
    said: isRefused ? "nothing listens there" : messageOf(cause),
    remedy: "see with `dcos-net status` whether an agent runs, and with `config show` where its API is",
    cause,
  });
}

function foreign(tried: string, said: string): NetError {
  return new NetError("unsupported", {
    tried,
    said: `${said}; that is no dcos-net agent`,
    remedy: "name the right address with --api, or set api_address and api_port",
  });
}
