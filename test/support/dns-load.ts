import { decoded, queryBytes } from "./dns.ts";

// Asks the DNS server of the first argument for the A records of the second, again and again for so many milliseconds,
// from many sockets in turn, and prints how many queries were sent, answered, and answered with a record. It doesn't
// ask twice: what is lost is lost.
const [server = "", name = "", duration = ""] = process.argv.slice(2);
const GAP_MS = 1;
const PATIENCE_MS = 4000;
const SOCKETS = 64;
const counts = { sent: 0, answered: 0, good: 0 };

const sockets = await Promise.all(
  Array.from({ length: SOCKETS }, () =>
    Bun.udpSocket({
      connect: { hostname: server, port: 53 },
      socket: {
        data(_, message) {
          counts.answered++;
          if ((decoded(message).answers?.length ?? 0) > 0) counts.good++;
        },
      },
    }),
  ),
);
for (const end = performance.now() + Number(duration); performance.now() < end; await Bun.sleep(GAP_MS)) {
  if (sockets[counts.sent % SOCKETS]?.send(queryBytes(name, "A", counts.sent % 65_536)) === true) counts.sent++;
}
for (const end = performance.now() + PATIENCE_MS; counts.answered < counts.sent && performance.now() < end; ) {
  await Bun.sleep(10);
}
console.log(JSON.stringify(counts));
process.exit(0);
