import { decoded, queryBytes } from "./dns.ts";

// Asks the DNS server of the first argument for the A records of the second over TCP, each query on a connection of its
// own, for so many milliseconds, and prints how many were sent, answered with a record, and had to be asked on a second
// connection because the first was refused or closed (RFC 7766 section 6.2.4 has clients do that). No third is tried.
const [hostname = "", name = "", duration = ""] = process.argv.slice(2);
const GAP_MS = 2;
const PATIENCE_MS = 4000;
const counts = { sent: 0, good: 0, again: 0 };

/** The answer over a new connection; undefined when that was refused, or closed before. */
async function ask(message: Uint8Array): Promise<Uint8Array | undefined> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  let received = new Uint8Array(0);
  const socket = {
    open: (to: Bun.Socket) => void to.write(Buffer.concat([Uint8Array.of(0, message.length), message])),
    data(from: Bun.Socket, bytes: Uint8Array) {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + Buffer.from(received).readUInt16BE()) return;
      resolve(received.subarray(2));
      from.end();
    },
    close: () => resolve(undefined),
    error: () => resolve(undefined),
    connectError: () => resolve(undefined),
  };
  await Bun.connect({ hostname, port: 53, socket }).catch(() => resolve(undefined));
  return await promise;
}

async function lookUp(message: Uint8Array): Promise<void> {
  let answer = await ask(message);
  if (answer === undefined) {
    counts.again++;
    answer = await ask(message);
  }
  if (answer !== undefined && (decoded(answer).answers?.length ?? 0) > 0) counts.good++;
}

const asked: Promise<void>[] = [];
for (const end = performance.now() + Number(duration); performance.now() < end; await Bun.sleep(GAP_MS)) {
  asked.push(lookUp(queryBytes(name, "A", counts.sent % 65_536)));
  counts.sent++;
}
await Promise.race([Promise.all(asked), Bun.sleep(PATIENCE_MS)]);
console.log(JSON.stringify(counts));
process.exit(0);
