import { fileURLToPath } from "node:url";
import { CASES, type Recording, type Recordings, SETUP } from "./cases.ts";
import { QUESTIONS, type Question, REPLY_SETUP, type Replies } from "./questions.ts";
import { datagramsIn } from "./strace.ts";

/** Records anew what `ip` and `bridge` send to the kernel for each case, and what the kernel answers to each
 *  question, in namespaces of their own: `bun test/golden/record.ts` as root, with strace installed. Whether the
 *  kernel likes a change doesn't matter. */

const NLMSG_ERROR = 2;

function run(command: readonly string[]): {
  readonly stdout: string;
  readonly stderr: string;
  readonly success: boolean;
} {
  const { stdout, stderr, success } = Bun.spawnSync([...command], { timeout: 10_000 });
  return { stdout: stdout.toString(), stderr: stderr.toString(), success };
}

function must(command: readonly string[]): string {
  const { stdout, stderr, success } = run(command);
  if (!success) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout;
}

/** Number of a message's type; rtnetlink numbers its messages in fours: new, delete, get, set. */
function typeOf(hex: string): number {
  return Number.parseInt(hex.slice(10, 12) + hex.slice(8, 10), 16);
}

/** Runs `action` with the name of a namespace in which the commands have been run. */
function inNetns<T>(setup: readonly string[], action: (netns: string) => T): T {
  const netns = `golden-${process.pid}`;
  must(["ip", "netns", "add", netns]);
  try {
    for (const line of setup) must(["ip", "netns", "exec", netns, ...line.split(" ")]);
    return action(netns);
  } finally {
    must(["ip", "netns", "delete", netns]);
  }
}

function linksIn(netns: string): Recordings["links"] {
  const links: unknown = JSON.parse(must(["ip", "-n", netns, "-json", "link"]));
  if (!Array.isArray(links)) throw new Error("ip printed no list of links");
  return Object.fromEntries(links.map(({ ifname, ifindex }) => [ifname, ifindex]));
}

function traced(netns: string, options: readonly string[], command: string): string[] {
  const words = command.replace("NETNS", netns).split(" ");
  return datagramsIn(run(["ip", "netns", "exec", netns, "strace", "-f", ...options, ...words]).stderr);
}

function recordChange(command: string): Recording {
  const sent = inNetns(SETUP, (netns) => traced(netns, ["-e", "trace=sendmsg,sendto", "-e", "write=all"], command));
  const hex = sent.findLast((each) => typeOf(each) >= 16 && typeOf(each) % 4 !== 2);
  if (hex === undefined) throw new Error(`${command} sent no change`);
  return { command, hex };
}

/** A refusal is the last error of several: the tool asks the kernel what it can do before. */
function recordReply({ command, type }: Question): Recording[] {
  const got = inNetns(REPLY_SETUP, (netns) => traced(netns, ["-e", "trace=recvmsg", "-e", "read=all"], command));
  const answers = got.filter((each) => typeOf(each) === type);
  if (answers.length === 0) throw new Error(`${command} got no answer`);
  return (type === NLMSG_ERROR ? answers.slice(-1) : answers).map((hex) => ({ command, hex }));
}

async function write(name: string, content: object): Promise<void> {
  await Bun.write(fileURLToPath(new URL(name, import.meta.url)), `${JSON.stringify(content, undefined, 2)}\n`);
}

const versions = ["ip", "bridge"].map((tool) => must([tool, "-V"]).trim());
const changes: Recordings = {
  versions,
  links: inNetns(SETUP, linksIn),
  recordings: CASES.map(({ command }) => recordChange(command)),
};
const kernel = must(["uname", "-r"]).trim();
const replies: Replies = { kernel, replies: QUESTIONS.flatMap(recordReply) };
await write("iproute2.json", changes);
await write("replies.json", replies);
console.log(`${changes.recordings.length} messages of ${versions.join(" and ")}`);
console.log(`${replies.replies.length} datagrams of Linux ${kernel}`);
