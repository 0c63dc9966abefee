import type { Clock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends the request and, later, the reading of its answer. */
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Value of a header, by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  /** Pieces of the body as they arrive; at most once. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Sends one request without following redirects; resolves when the answer's headers are there. Rejects when there is
 *  no answer or `signal` ends it. */
export type HttpSend = (request: HttpRequest) => Promise<HttpAnswer>;

export interface TlsOptions {
  /** File with the certificates (PEM) of the authorities to trust, read for each request; the system's when absent. */
  readonly caFile?: string;
  /** False accepts every certificate: the other side may be anybody. True when absent. */
  readonly verify?: boolean;
}

/** Requests over the network, with `tls` for https. */
export function networkHttp(tls: TlsOptions = {}): HttpSend {
  return async ({ method, url, headers, body, signal }) => {
    const response = await fetch(url, {
      method,
      headers,
      signal,
      redirect: "manual",
      ...(body !== undefined && { body }),
      ...(url.startsWith("https:") && { tls: await tlsOf(tls) }),
    });
    return {
      status: response.status,
      header: (name) => response.headers.get(name) ?? undefined,
      body: response.body ?? nothing(),
    };
  };
}

/** Who asks, and what for: the parts of a request that stay the same for a source. */
export interface Caller {
  readonly http: HttpSend;
  readonly clock: Clock;
  /** Value of the Authorization header, asked for at each request so that it may be renewed: `token=…` (DC/OS),
   *  `Bearer …`, `Basic …`. undefined sends none. */
  readonly authorization?: () => string | undefined;
  readonly userAgent?: string;
}

/** One call of the Mesos v1 API. Throws a NetError `unavailable` when no answer's headers come within `timeoutMs`. */
export async function callMesos(
  caller: Caller,
  call: { readonly url: string; readonly type: string; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<HttpAnswer> {
  return ask(caller, { method: "POST", body: JSON.stringify({ type: call.type }), ...call });
}

/** One request, with the same bound on the time to the headers as {@link callMesos}. */
export async function ask(
  caller: Caller,
  request: Pick<HttpRequest, "method" | "url" | "body" | "signal"> & { readonly timeoutMs: number },
): Promise<HttpAnswer> {
  const authorization = caller.authorization?.();
  const headers = {
    accept: "application/json",
    ...(request.body !== undefined && { "content-type": "application/json" }),
    ...(caller.userAgent !== undefined && { "user-agent": caller.userAgent }),
    ...(authorization !== undefined && { authorization }),
  };
  const late = new AbortController();
  const cancel = caller.clock.schedule(request.timeoutMs, () =>
    late.abort(new Error(`no answer within ${request.timeoutMs} ms`)),
  );
  const signal = AbortSignal.any([request.signal, late.signal]);
  const { method, url, body } = request;
  try {
    return await caller.http({ method, url, headers, signal, ...(body !== undefined && { body }) });
  } catch (error) {
    const said = late.signal.aborted ? messageOf(late.signal.reason) : messageOf(error);
    throw new NetError("unavailable", { tried: `${method} ${url}`, said, cause: error });
  } finally {
    cancel();
  }
}

/** The whole body, of at most `limit` bytes. Throws a NetError `exhausted` beyond that, without reading on. */
export async function readBody(answer: HttpAnswer, url: string, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body) {
    size += part.length;
    if (size > limit) {
      throw new NetError("exhausted", { tried: `read the answer of ${url}`, said: `more than ${limit} bytes` });
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const SHOWN_BYTES = 300;

/** The error that an answer other than 200 stands for, with what the other side wrote. */
export async function refusalOf(answer: HttpAnswer, url: string): Promise<NetError> {
  const body = await readStart(answer);
  const said = `HTTP ${answer.status}${body === "" ? "" : `: ${body}`}`;
  if (answer.status === 401 || answer.status === 403) {
    return new NetError("permission", {
      tried: `call ${url}`,
      said,
      remedy: "give dcos-net a token that Mesos accepts",
    });
  }
  return new NetError("unavailable", { tried: `call ${url}`, said });
}

async function readStart(answer: HttpAnswer): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const part of answer.body) {
      text += decoder.decode(part.subarray(0, SHOWN_BYTES), { stream: true });
      if (text.length >= SHOWN_BYTES) break;
    }
  } catch {
    // A body that breaks off is shown as far as it came; the status alone tells the failure.
  }
  return text.slice(0, SHOWN_BYTES).replace(/\s+/g, " ").trim();
}

async function tlsOf({ caFile, verify = true }: TlsOptions): Promise<{ ca?: string; rejectUnauthorized: boolean }> {
  if (caFile === undefined) return { rejectUnauthorized: verify };
  try {
    return { ca: await Bun.file(caFile).text(), rejectUnauthorized: verify };
  } catch (error) {
    throw new NetError("io", { tried: `read the certificates in ${caFile}`, said: messageOf(error), cause: error });
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
