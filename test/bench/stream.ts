import { linesOf } from "./lines.ts";

/** Starts a program at one end of a stream: in a namespace, or in a control group. */
export type Start = (command: readonly string[]) => Bun.Subprocess<"ignore", "pipe", "inherit">;

/** A stream from one program to another; the address to send to may be another than the one that listens. */
export interface Stream {
  readonly serve: Start;
  readonly send: Start;
  readonly listens: StreamEnd;
  readonly to: StreamEnd;
}

interface StreamEnd {
  readonly address: string;
  readonly port: number;
}

/** What `iperf3 --json` says of a client's run, as far as it is read. */
interface Report {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bits_per_second: number } };
}

const SECONDS = 2;

/** Sends over one TCP connection for two seconds by iperf3 and tells how many Gbit/s have arrived. */
export async function gigabitsOf({ serve, send, listens, to }: Stream): Promise<number> {
  const bound = ["--bind", listens.address, "--port", String(listens.port)];
  const server = serve(["iperf3", "--server", "--one-off", "--forceflush", ...bound]);
  try {
    await untilListening(server.stdout);
    const client = send([
      "iperf3",
      "--client",
      to.address,
      "--port",
      String(to.port),
      "--time",
      String(SECONDS),
      "--json",
    ]);
    const { error, end } = JSON.parse(await new Response(client.stdout).text()) as Report;
    if (error !== undefined) throw new Error(`iperf3 to ${to.address}:${to.port}: ${error}`);
    return end.sum_received.bits_per_second / 1e9;
  } finally {
    server.kill();
    await server.exited;
  }
}

async function untilListening(output: ReadableStream<Uint8Array>): Promise<void> {
  const lines = linesOf(output);
  for (;;) {
    const { value, done } = await lines.next();
    if (done) throw new Error("iperf3 ended before it listened: its message is above");
    if (value.startsWith("Server listening")) return;
  }
}
