/** A program that never stops asking: it opens connections and sends datagrams through virtual IPs at a steady rate, as
 *  its argument says (vip-load-protocol.ts), until its input ends; then it prints what came of each. */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Connect, LoadOrder, LoadReport, Sent } from "./vip-load-protocol.ts";

/** Time for the last answers. */
const LAST_MS = 500;

const order = JSON.parse(process.argv[2] ?? "") as LoadOrder;
const connects: Connect[] = [];
const sent: { at: number; server: string | undefined }[] = [];
let open = 0;

/** Connects, hears the greeting, and lets the server close first, so that the port is free again at once. */
function connectOnce(): void {
  const at = Date.now();
  open++;
  let heard = "";
  let isOver = false;
  const socket = connect({ host: order.tcp.address, port: order.tcp.port });
  const over = (server: string | undefined, failure: string | undefined): void => {
    if (isOver) return;
    isOver = true;
    open--;
    clearTimeout(timer);
    connects.push({ at, server, failure });
    if (failure !== undefined) socket.destroy();
  };
  const timer = setTimeout(() => over(undefined, "timeout"), order.timeoutMs);
  socket.setNoDelay(true);
  socket.on("data", (data) => {
    heard += data.toString();
    if (isOver || !heard.includes("\n")) return;
    over(heard.split(" ")[0], undefined);
    socket.write("bye\n");
  });
  socket.on("end", () => socket.end());
  socket.on("error", (error: NodeJS.ErrnoException) => over(undefined, error.code ?? error.message));
  socket.on("close", () => over(undefined, "closed"));
}

const datagrams = createSocket(order.udp.address.includes(":") ? "udp6" : "udp4");
datagrams.on("message", (text) => {
  // `<server's address> <our text> <client> <port>`
  const [server = "", number = ""] = text.toString().split(" ");
  const entry = sent[Number(number)];
  if (entry !== undefined) entry.server = server;
});
// What is refused has no answer, which is what is counted.
datagrams.on("error", () => undefined);

function sendOnce(): void {
  const number = sent.push({ at: Date.now(), server: undefined }) - 1;
  datagrams.send(String(number), order.udp.port, order.udp.address, () => undefined);
}

async function end(): Promise<void> {
  for (const timer of timers) clearInterval(timer);
  const start = Date.now();
  while (open > 0 && Date.now() - start < order.timeoutMs + LAST_MS) await Bun.sleep(10);
  await Bun.sleep(LAST_MS);
  const report: LoadReport = { connects, datagrams: sent satisfies Sent[] };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
}

let timers: ReturnType<typeof setInterval>[] = [];
datagrams.bind(order.udp.localPort, () => {
  timers = [setInterval(connectOnce, order.everyMs), setInterval(sendOnce, order.everyMs)];
});
process.stdin.on("end", () => void end());
process.stdin.resume();
