import { decoded, queryBytes } from "../support/dns.ts";
import { benchName } from "./dns-names.ts";

const AGAIN_MS = 100;

/** Waits until a server on a port of 127.0.0.1 answers for the last of so many names: true when it does within the
 *  time, false when it doesn't. Throws when the process ends before. */
export async function isReady(server: Bun.Subprocess, port: number, names: number, limitMs: number): Promise<boolean> {
  let answered = false;
  const socket = await Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port },
    socket: {
      data(_, message) {
        answered ||= (decoded(message).answers?.length ?? 0) > 0;
      },
      error() {
        // Nobody listens yet: it is asked again.
      },
    },
  });
  const question = queryBytes(benchName(names - 1), "A");
  const end = performance.now() + limitMs;
  try {
    while (!answered && performance.now() < end) {
      if (server.exitCode !== null) throw new Error(`the server on port ${port} ended with ${server.exitCode}`);
      socket.send(question);
      await Bun.sleep(AGAIN_MS);
    }
  } finally {
    socket.close();
  }
  return answered;
}
