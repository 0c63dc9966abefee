import { linesOf } from "./lines.ts";

/** A program of the benchmarks of virtual IPs. `serve ADDRESS PORT` echoes until its input ends; `ask` answers each
 *  line `connects ADDRESS PORT COUNT` or `requests ADDRESS PORT COUNT` with the microseconds that one takes. */
const [role = "", hostname = "", port = ""] = process.argv.slice(2);
if (role === "serve") await serve();
else for await (const line of linesOf(Bun.stdin.stream())) console.log(await answer(line));

/** Ends with its input, so that it doesn't outlive who started it. */
async function serve(): Promise<void> {
  const socket = { data: (peer: Bun.Socket, data: Uint8Array) => void peer.write(data), error: () => undefined };
  Bun.listen({ hostname, port: Number(port), socket });
  console.log("serving");
  for await (const _ of Bun.stdin.stream());
  process.exit();
}

async function answer(line: string): Promise<number> {
  const [what, address = "", to = "", times = ""] = line.split(" ");
  const count = Number(times);
  const start = Bun.nanoseconds();
  if (what === "requests") await requests(address, Number(to), count);
  else for (let done = 0; done < count; done++) await connectOnce(address, Number(to));
  return (Bun.nanoseconds() - start) / count / 1000;
}

/** Connects and resets, so that no side waits for late packets. */
function connectOnce(address: string, to: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = {
      open(peer: Bun.Socket) {
        peer.terminate();
        resolve();
      },
      data: () => undefined,
      error: (_: unknown, error: Error) => reject(error),
      connectError: (_: unknown, error: Error) => reject(error),
    };
    Bun.connect({ hostname: address, port: to, socket }).catch(reject);
  });
}

/** Sends a byte over one connection and waits for its echo, so often. */
function requests(address: string, to: number, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = count;
    const socket = {
      open: (peer: Bun.Socket) => void peer.write("x"),
      data(peer: Bun.Socket) {
        if (--left > 0) {
          peer.write("x");
          return;
        }
        peer.terminate();
        resolve();
      },
      error: (_: unknown, error: Error) => reject(error),
      connectError: (_: unknown, error: Error) => reject(error),
    };
    Bun.connect({ hostname: address, port: to, socket }).catch(reject);
  });
}
