import { networkInterfaces } from "node:os";
import type { Output } from "../output.ts";

const CHUNK = new Uint8Array(64 * 1024);
const MOST_BYTES = 10 * 2 ** 30;

export interface ServeOptions {
  readonly port: number;
  /** First line of the answer. */
  readonly text: string;
  readonly out: Output;
}

/** A small HTTP server for trying a network: `/` says who answers, at which addresses, and who asked; `/bytes/N`
 *  gives N bytes. Both families on one socket, IPv4 alone where the kernel has no IPv6. */
export function serve({ port, text, out }: ServeOptions): { stop(): Promise<void>; readonly port: number } {
  const start = (hostname: string) =>
    Bun.serve({
      hostname,
      port,
      fetch: (request, server) => answer(new URL(request.url).pathname, text, server.requestIP(request)?.address),
    });
  let server: ReturnType<typeof start>;
  try {
    server = start("::");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EAFNOSUPPORT")) throw error;
    server = start("0.0.0.0");
  }
  out.line(`serving ${text} on port ${server.port} of ${ownAddresses().join(" ")}`);
  return { port: server.port ?? port, stop: () => server.stop(true) };
}

function answer(path: string, text: string, client: string | undefined): Response {
  const [, digits] = /^\/bytes\/(\d{1,12})$/.exec(path) ?? [];
  if (digits !== undefined && Number(digits) <= MOST_BYTES) return bytes(Number(digits));
  if (path !== "/") return new Response("there are / and /bytes/N\n", { status: 404 });
  const mapped = client?.replace(/^::ffff:/, "") ?? "unknown";
  return new Response(`${text}\nserver ${ownAddresses().join(" ")}\nclient ${mapped}\n`);
}

/** N bytes, made as they are taken. */
function bytes(count: number): Response {
  let left = count;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const size = Math.min(left, CHUNK.length);
      if (size > 0) controller.enqueue(CHUNK.subarray(0, size));
      left -= size;
      if (left === 0) controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "application/octet-stream" } });
}

/** Addresses of all links but the loopback, without link-local ones. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"))
    .map(({ address }) => address);
}
