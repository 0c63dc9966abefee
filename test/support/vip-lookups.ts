/** A program that looks up a name and connects to what it finds, again and again, until its input ends; then it prints
 *  how that went (vip-lookups-protocol.ts). */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import * as packet from "dns-packet";
import type { LookupOrder, LookupReport } from "./vip-lookups-protocol.ts";

const DNS_PORT = 53;
const SILENCE_MS = 1000;
const PAUSE_MS = 1;
/** When a connection fails the name is looked up once more. If that took longer than this the name may have gone and
 *  come back meanwhile, and nothing can be said. The test leaves more time between its changes. */
const CONCLUSIVE_MS = 150;

const order = JSON.parse(process.argv[2] ?? "") as LookupOrder;
const socket = createSocket("udp4");
let hear: (answer: packet.Packet) => void = () => undefined;
socket.on("message", (bytes) => hear(packet.decode(bytes)));
let id = 0;

/** The first address; undefined when there is none, or no answer. */
function lookUp(): Promise<string | undefined> {
  id = (id + 1) % 65_536;
  const own = id;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), SILENCE_MS);
    hear = ({ id: answered, answers = [] }) => {
      if (answered !== own) return;
      clearTimeout(timer);
      const [address] = answers.flatMap((answer) => (answer.type === "A" ? answer.data : []));
      resolve(address);
    };
    const questions = [{ type: "A", name: order.name } as const];
    socket.send(packet.encode({ type: "query", id: own, questions }), DNS_PORT, order.server);
  });
}

/** What went wrong; undefined when a server greeted. */
function tryOut(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const peer = connect({ host: address, port: order.port });
    const over = (problem: string | undefined): void => {
      clearTimeout(timer);
      resolve(problem);
      peer.destroy();
    };
    const timer = setTimeout(() => over("timeout"), SILENCE_MS);
    peer.on("data", () => over(undefined));
    peer.on("error", (error: NodeJS.ErrnoException) => over(error.code ?? error.message));
    peer.on("close", () => over("closed"));
  });
}

const lies: string[] = [];
let absent = 0;
let served = 0;
let isEnding = false;
process.stdin.on("end", () => {
  isEnding = true;
});
process.stdin.resume();

while (!isEnding) {
  const start = performance.now();
  const address = await lookUp();
  if (address === undefined) absent++;
  else {
    const problem = await tryOut(address);
    if (problem === undefined) served++;
    else if ((await lookUp()) === address && performance.now() - start < CONCLUSIVE_MS) {
      lies.push(`${address}: ${problem}, at ${new Date().toISOString()}`);
    }
  }
  await Bun.sleep(PAUSE_MS);
}
const report: LookupReport = { absent, served, lies };
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
