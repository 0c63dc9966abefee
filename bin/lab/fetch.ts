import { Resolver } from "node:dns/promises";
import { tryParseIp } from "../../lib/address.ts";
import { messageOf, NetError } from "../../lib/error.ts";

/** One answered request. */
export interface Fetched {
  readonly status: number;
  readonly bytes: number;
  readonly milliseconds: number;
  /** The start of the answer when it is text. */
  readonly text: string | undefined;
}

const TEXT_SHOWN = 2000;
const RETRY_MS = 50;
const RESOLVE_MS = 2000;

/** Asks the DNS server at `server` for the host of `url`: the same URL with the first address in its place, IPv4 before
 *  IPv6. Throws a NetError `not-found` when it has none. */
export async function resolvedBy(server: string, url: URL): Promise<URL> {
  if (tryParseIp(url.hostname.replace(/^\[|\]$/g, "")) !== undefined) return url;
  const resolver = new Resolver({ timeout: RESOLVE_MS, tries: 2 });
  resolver.setServers([server]);
  const said: string[] = [];
  for (const ask of [() => resolver.resolve4(url.hostname), () => resolver.resolve6(url.hostname)]) {
    const [address] = await ask().catch((error: unknown) => {
      said.push(messageOf(error));
      return [];
    });
    if (address === undefined) continue;
    const resolved = new URL(url);
    resolved.hostname = address.includes(":") ? `[${address}]` : address;
    return resolved;
  }
  throw new NetError("not-found", { tried: `resolve ${url.hostname} by ${server}`, said: said.join("; ") });
}

/** Requests `url` once and reads the whole answer. A refused connection is tried again for `waitMs` milliseconds, for
 *  servers that are just starting. Throws a NetError `unavailable` when there is no answer within `limitMs`. */
export async function fetchOnce(url: URL, limitMs: number, waitMs: number): Promise<Fetched> {
  const giveUp = performance.now() + waitMs;
  for (;;) {
    const start = performance.now();
    try {
      // A new connection each time: what is tried here is the network, not a connection that stands.
      const response = await fetch(url, { keepalive: false, signal: AbortSignal.timeout(limitMs), redirect: "manual" });
      const { bytes, text } = await readBody(response);
      return { status: response.status, bytes, milliseconds: performance.now() - start, text };
    } catch (error) {
      if (performance.now() >= giveUp || !isRefused(error)) {
        throw new NetError("unavailable", { tried: `fetch ${url.href}`, said: messageOf(error), cause: error });
      }
      await Bun.sleep(RETRY_MS);
    }
  }
}

async function readBody(response: Response): Promise<{ bytes: number; text: string | undefined }> {
  const isText = response.headers.get("content-type")?.startsWith("text/") === true;
  let bytes = 0;
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (isText && text.length < TEXT_SHOWN) text += decoder.decode(chunk, { stream: true });
  }
  return { bytes, text: isText ? text.slice(0, TEXT_SHOWN) : undefined };
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
}

/** `200  10485760 bytes  0.123 s  81.3 MB/s` */
export function fetchedLine({ status, bytes, milliseconds }: Fetched): string {
  const seconds = milliseconds / 1000;
  return `${status}  ${bytes} bytes  ${seconds.toFixed(3)} s  ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
}
