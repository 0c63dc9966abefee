import { join } from "node:path";
import type { Kernel } from "../../kernel/kernel.ts";
import { inCgroup } from "./in-cgroup.ts";
import type { PeerAnswer, PeerQuestion, ServedPort, Target } from "./vip-peer-protocol.ts";

const PROGRAM = join(import.meta.dir, "vip-peer.ts");
/** Milliseconds until silence is an answer. The networks are veth pairs: an answer takes far less than one; but a
 *  loaded machine may let a process wait. */
const SILENCE_MS = 10_000;

/** Omit that keeps the members of a union apart. */
type Unnumbered<T> = T extends unknown ? Omit<T, "id"> : never;

/** Where to connect to, with the defaults of {@link Peer}. */
export type Where = Omit<Target, "timeoutMs"> & { readonly timeoutMs?: number };

/** A connection, or a UDP socket, that stays open. */
export interface PeerConnection {
  /** What the server said when the connection was opened: `ITS-ADDRESS CLIENT-ADDRESS CLIENT-PORT`. */
  readonly greeting: string;
  /** Sends a line and tells what comes back, `closed` or `timeout`. */
  say(text: string, timeoutMs?: number): Promise<string>;
  close(): Promise<void>;
}

/** A process in a network namespace that serves and connects for the tests. */
export interface Peer {
  serve(port: ServedPort): Promise<void>;
  /** Ends a server and its connections. */
  end(port: ServedPort): Promise<void>;
  /** Connections or datagrams that a server has got. */
  count(port: ServedPort): Promise<number>;
  /** Opens TCP connections one after the other and tells how often each server answered. */
  ask(where: Where, times: number): Promise<Record<string, number>>;
  /** The whole greeting of one connection. */
  greeting(where: Where): Promise<string>;
  open(protocol: "tcp" | "udp", where: Where): Promise<PeerConnection>;
  /** What one datagram from a new socket brings. */
  askUdp(where: Where): Promise<string>;
  stop(): Promise<void>;
  /** Ends it as no program can prevent. */
  kill(): Promise<void>;
}

/** Starts a peer in the namespace of `kernel`, in the control group `cgroup` (a directory of cgroup2) when given. */
export async function startPeer(kernel: Kernel, cgroup?: string): Promise<Peer> {
  const program = [process.execPath, PROGRAM];
  const command = cgroup === undefined ? program : inCgroup(cgroup, program);
  const child = kernel.enter(() => Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" }));
  const waiting = new Map<number, { resolve: (value: PeerAnswer["value"]) => void; reject: (error: Error) => void }>();
  let number = 0;
  const heard = (async () => {
    for await (const { id, value, error } of answersOf(child.stdout)) {
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error === undefined) resolve?.(value);
      else reject?.(new Error(error));
    }
    for (const { reject } of waiting.values()) reject(new Error("the peer has ended"));
  })();
  const ready = new Promise((resolve, reject) => waiting.set(0, { resolve, reject }));
  const put = (question: Unnumbered<PeerQuestion>): { id: number; answer: Promise<PeerAnswer["value"]> } => {
    const id = ++number;
    const answer = new Promise<PeerAnswer["value"]>((resolve, reject) => waiting.set(id, { resolve, reject }));
    child.stdin.write(`${JSON.stringify({ ...question, id })}\n`);
    child.stdin.flush();
    return { id, answer };
  };
  await ready;
  const gone = async () => {
    await child.exited;
    await heard;
  };
  const stop = async () => {
    child.stdin.end();
    await gone();
  };
  const kill = async () => {
    child.kill("SIGKILL");
    await gone();
  };
  return peerOf(put, { stop, kill });
}

type Put = (question: Unnumbered<PeerQuestion>) => { id: number; answer: Promise<PeerAnswer["value"]> };

function peerOf(put: Put, ends: Pick<Peer, "stop" | "kill">): Peer {
  const asked = async (where: Where, times: number, whole: boolean) =>
    (await put({ do: "ask", timeoutMs: SILENCE_MS, ...where, times, whole }).answer) as Record<string, number>;
  const open = async (protocol: "tcp" | "udp", where: Where): Promise<PeerConnection> => {
    const { id, answer } = put({ do: "open", protocol, timeoutMs: SILENCE_MS, ...where });
    return {
      greeting: String(await answer),
      say: async (text, timeoutMs = SILENCE_MS) =>
        String(await put({ do: "say", connection: id, text, timeoutMs }).answer),
      close: async () => void (await put({ do: "close", connection: id }).answer),
    };
  };
  return {
    serve: async (port) => void (await put({ do: "serve", ...port }).answer),
    end: async (port) => void (await put({ do: "end", ...port }).answer),
    count: async (port) => Number(await put({ do: "count", ...port }).answer),
    ask: (where, times) => asked(where, times, false),
    greeting: async (where) => Object.keys(await asked(where, 1, true))[0] ?? "",
    open,
    askUdp: async (where) => {
      const socket = await open("udp", where);
      const answer = await socket.say("hello");
      await socket.close();
      return answer;
    },
    ...ends,
  };
}

async function* answersOf(output: ReadableStream<Uint8Array>): AsyncGenerator<PeerAnswer> {
  const text = new TextDecoder();
  let rest = "";
  for await (const part of output) {
    const lines = (rest + text.decode(part, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as PeerAnswer;
  }
}
