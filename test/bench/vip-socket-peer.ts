import { linesOf } from "./lines.ts";

/** A program of the benchmark of the socket data plane: with `serve` it greets and echoes on the loopback and prints
 *  its port; with `ask` it answers each line `connects HOST PORT COUNT` or `requests HOST PORT COUNT` with the
 *  nanoseconds that one takes. */
const [role] = process.argv.slice(2);
if (role === "serve") serve();
else for await (const line of linesOf(Bun.stdin.stream())) console.log(await answer(line));

function serve(): void {
  const { port } = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (socket, data) => void socket.write(data),
      error: () => undefined,
    },
  });
  console.log(port);
}

async function answer(line: string): Promise<number> {
  const [what, hostname = "", port = "", times = ""] = line.split(" ");
  const count = Number(times);
  const start = Bun.nanoseconds();
  await (what === "connects" ? connects : requests)(hostname, Number(port), count);
  return (Bun.nanoseconds() - start) / count;
}

/** Opens connections one after the other and resets each, so that none waits for late packets. */
function connects(hostname: string, port: number, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = count;
    const next = (): void => {
      if (left-- === 0) {
        resolve();
        return;
      }
      Bun.connect({
        hostname,
        port,
        socket: {
          open(socket) {
            socket.terminate();
            next();
          },
          data: () => undefined,
          error: (_, error) => reject(error),
          connectError: (_, error) => reject(error),
        },
      }).catch(reject);
    };
    next();
  });
}

/** Sends a byte over one connection and waits for it to come back, so often. */
function requests(hostname: string, port: number, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = count;
    Bun.connect({
      hostname,
      port,
      socket: {
        open: (socket) => void socket.write("x"),
        data(socket) {
          if (--left > 0) {
            socket.write("x");
            return;
          }
          socket.terminate();
          resolve();
        },
        error: (_, error) => reject(error),
        connectError: (_, error) => reject(error),
      },
    }).catch(reject);
  });
}
