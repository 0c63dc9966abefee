import { readFileSync } from "node:fs";
import { expect } from "chai";
import { rcodeText } from "../../dns/codes.ts";
import { queryBytes } from "../support/dns.ts";
import { faultOf, rcodeOf, type Verdict, verdictOf, type World } from "../support/dns-oracle.ts";
import { DnsProcess } from "../support/dns-process.ts";

const IS_LONG = Number(process.env["FUZZ_SECONDS"] ?? 2) >= 60;
/** `make fuzz`: a million, and five more that show whether memory stays; `make test`: what takes a few seconds. */
const ROUNDS = IS_LONG ? 6 : 1;
const ROUND = IS_LONG ? 1_000_000 : 20_000;
const SEED = Number(process.env["SEED"] ?? (IS_LONG ? Math.floor(Math.random() * 2 ** 31) : 1));
/** Packets on their way at a time. */
const BATCH = 200;
/** Of so many packets one goes over TCP. */
const TCP_SHARE = 10;
/** An answer that isn't there so much later was lost, milliseconds; asked again so often. */
const LOST_MS = 3000;
const TRIES = 20;
/** Memory that a server may have, and by how much more a later million may need than the first two, kB: seven bytes a
 *  packet. */
const MOST_KB = 450_000;
const GROWTH_KB = 28_000;

const LOCAL = "shop.web.containerip.dcos.thisdcos.directory";
const FOREIGN = "www.example.org";
const LIES = "lies.example.net";
const [A, NS, SOA, PTR, AAAA] = [1, 2, 6, 12, 28];

/** What `dns serve` has with one task and no masters, by the fact sheet of DC/OS's names and what we add to it. */
const WORLD: World = {
  zones: ["spartan", "localhost", "zk", "thisdcos.directory", "9.in-addr.arpa", "11.in-addr.arpa"],
  names: new Map([
    ...["spartan", "zk", "thisdcos.directory", "dcos.thisdcos.directory", "mesos.thisdcos.directory"].map(
      (zone): [string, number[]] => [zone, [NS, SOA]],
    ),
    ...["l4lb.thisdcos.directory", "9.in-addr.arpa", "11.in-addr.arpa"].map((zone): [string, number[]] => [
      zone,
      [NS, SOA],
    ]),
    ["localhost", [A, NS, SOA, AAAA]],
    ["ready.spartan", [A]],
    ["ns.spartan", [A, AAAA]],
    ["thisnode.thisdcos.directory", [A, NS, SOA]],
    ["here.node.dcos.thisdcos.directory", [A]],
    ...["agentip", "containerip", "autoip"].map((kind): [string, number[]] => [
      `shop.web.${kind}.dcos.thisdcos.directory`,
      [A],
    ]),
    ["7.1.0.9.in-addr.arpa", [PTR]],
  ]),
  aliases: new Map([
    ["dclb.thisdcos.directory", "l4lb.thisdcos.directory"],
    ["thisdcos.global", "thisdcos.directory"],
  ]),
  upstream: (name) => (name === FOREIGN ? 0 : name === LIES || name.endsWith(`.${LIES}`) ? "anything" : 3),
};

const BASES = [
  ...Array.from({ length: 4 }, () => [
    queryBytes(LOCAL, "A", 0),
    queryBytes(LOCAL, "SRV", 0, 1232),
    queryBytes(LOCAL.replace("directory", "global"), "AAAA", 0, 1232),
    queryBytes("no.dcos.thisdcos.directory", "AAAA", 0, 4096),
    queryBytes("web.containerip.dcos.thisdcos.directory", "A", 0),
    queryBytes("ready.spartan", "ANY", 0, 512),
    queryBytes("7.1.0.9.in-addr.arpa", "PTR", 0),
    queryBytes(FOREIGN, "A", 0),
    queryBytes(FOREIGN, "A", 0, 1232),
    queryBytes("x.example.org", "AXFR", 0),
  ]).flat(),
  withCookie(queryBytes(LOCAL, "A", 0, 1232)),
  inAuthority(queryBytes(LOCAL, "A", 0, 1232)),
  // Few, since each of them may take its whole time.
  queryBytes(LIES, "A", 0),
];

/** With a cookie of eight bytes in the OPT record that ends it (RFC 7873 section 4). */
function withCookie(query: Uint8Array): Uint8Array {
  const option = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
  return Uint8Array.from([...query.subarray(0, -2), 0, option.length, ...option]);
}

/** With its OPT record in the authority section, where none may be. */
function inAuthority(query: Uint8Array): Uint8Array {
  return query.with(9, 1).with(11, 0);
}

/** Numbers that a seed repeats (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function mutated(good: Uint8Array, random: (below: number) => number): Uint8Array {
  const length = Math.max(0, good.length + (random(4) === 0 ? random(60) - 30 : 0));
  const bytes = new Uint8Array(length);
  bytes.set(good.subarray(0, length));
  for (let changes = random(4); changes > 0 && length > 0; changes--) bytes[random(length)] = random(256);
  return bytes;
}

/** An upstream that knows one name, denies the others, and of some says garbage before it does. */
async function startUpstream(random: (below: number) => number): Promise<Bun.udp.Socket<"uint8array">> {
  return await Bun.udpSocket({
    hostname: "127.0.0.1",
    binaryType: "uint8array",
    socket: {
      data(self, message, port, address) {
        const name = nameIn(message);
        const answer = replyTo(message, name === FOREIGN ? 0 : 3);
        try {
          if (name.endsWith(LIES)) self.send(mutated(answer, random), port, address);
          self.send(answer, port, address);
        } catch {
          // The kernel tells of an asker that has gone when the next one is answered.
        }
      },
      error() {},
    },
  });
}

/** Name of the question, for names without dots in their labels. */
function nameIn(message: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 12, length = message[12] ?? 0; length > 0; at += length + 1, length = message[at] ?? 0)
    labels.push(Buffer.from(message.subarray(at + 1, at + 1 + length)).toString("latin1"));
  return labels.join(".").toLowerCase();
}

/** The question with an address behind it, or with a denial. */
function replyTo(message: Uint8Array, rcode: number): Uint8Array {
  let end = 12;
  while ((message[end] ?? 0) > 0) end += (message[end] ?? 0) + 1;
  end += 5;
  const isAddress = rcode === 0 && message[end - 3] === A;
  const record = isAddress ? [0xc0, 12, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7] : [];
  const head = [message[0] ?? 0, message[1] ?? 0, 0x81, 0x80 | rcode, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0];
  return Uint8Array.from([...head, ...message.subarray(12, end), ...record]);
}

/** A packet that was sent, and what must come back. */
interface Sent {
  readonly message: Uint8Array;
  readonly verdict: Verdict | undefined;
}

/** Sends packets, each under an id of its own, until what must be answered has been, and judges every answer. */
class Judge {
  readonly #byId = new Map<number, Sent>();
  readonly #waiting = new Set<number>();
  #socket: Bun.udp.ConnectedSocket<"uint8array"> | undefined;
  #port = 0;
  #done = Promise.withResolvers<void>();
  #id = 0;
  #fault: string | undefined;
  /** How often each response code came, by its name. */
  readonly codes: Record<string, number> = {};
  silences = 0;

  async begin(port: number): Promise<void> {
    this.#port = port;
    this.#socket = await Bun.udpSocket({
      connect: { hostname: "127.0.0.1", port },
      binaryType: "uint8array",
      socket: { data: (_, bytes) => this.#take(Uint8Array.from(bytes)), error() {} },
    });
  }

  end(): void {
    this.#socket?.close();
  }

  /** Packets without an id of their own get one. */
  add(message: Uint8Array, over: "udp" | "tcp"): Sent & { readonly id: number } {
    const id = this.#id;
    this.#id = (this.#id + 1) % 0x10000;
    if (message.length > 1) message.set([id >> 8, id & 0xff]);
    const sent = { message, verdict: verdictOf(message, over, WORLD) };
    if (sent.verdict === undefined) this.silences++;
    return { ...sent, id };
  }

  async overUdp(messages: readonly Uint8Array[]): Promise<void> {
    this.#done = Promise.withResolvers();
    for (const message of messages) {
      const { id, ...sent } = this.add(message, "udp");
      this.#byId.set(id, sent);
      if (sent.verdict !== undefined) this.#waiting.add(id);
      this.#socket?.send(message);
    }
    for (let tries = 0; this.#waiting.size > 0; tries++) {
      const came = await Promise.race([this.#done.promise.then(() => true), Bun.sleep(LOST_MS).then(() => false)]);
      if (came) break;
      if (tries === TRIES) throw new Error(`no answer to ${[...this.#waiting].map((id) => this.#textOf(id))}`);
      for (const id of this.#waiting) this.#socket?.send(this.#byId.get(id)?.message ?? "");
    }
    if (this.#fault !== undefined) throw new Error(this.#fault);
  }

  /** All that must be answered on one connection at once, then one packet on which it is closed without a word. */
  async overTcp(messages: readonly Uint8Array[]): Promise<void> {
    const all = messages.map((message) => this.add(message, "tcp"));
    const answered = new Map(all.filter(({ verdict }) => verdict !== undefined).map((sent) => [sent.id, sent]));
    const silent = all.find(({ verdict }) => verdict === undefined);
    const [complete, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let received: Uint8Array = new Uint8Array(0);
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: this.#port,
      socket: {
        data: (_, bytes) => {
          received = Buffer.concat([received, bytes]);
          for (let size = sizeOf(received); size <= received.length; size = sizeOf(received)) {
            const reply = Uint8Array.from(received.subarray(2, size));
            received = received.subarray(size);
            const id = ((reply[0] ?? 0) << 8) | (reply[1] ?? 0);
            const sent = answered.get(id);
            this.#judge(reply, sent ?? { message: reply, verdict: undefined });
            answered.delete(id);
            if (answered.size === 0) complete.resolve();
          }
        },
        close: () => closed.resolve(),
        error: () => closed.resolve(),
      },
    });
    socket.write(Buffer.concat([...answered.values()].map(({ message }) => framed(message))));
    if (answered.size > 0) await Promise.race([complete.promise, closed.promise]);
    if (answered.size > 0)
      throw new Error(`over TCP no answer to ${[...answered.values()].map(({ message }) => message.toHex())}`);
    if (silent === undefined) socket.end();
    else socket.write(framed(silent.message));
    await closed.promise;
    if (this.#fault !== undefined) throw new Error(this.#fault);
  }

  #take(reply: Uint8Array): void {
    const id = ((reply[0] ?? 0) << 8) | (reply[1] ?? 0);
    this.#judge(reply, this.#byId.get(id) ?? { message: reply, verdict: undefined });
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#done.resolve();
  }

  #judge(reply: Uint8Array, { message, verdict }: Sent): void {
    const fault = faultOf(reply, message, verdict);
    const code = rcodeText(rcodeOf(reply) ?? -1);
    this.codes[code] = (this.codes[code] ?? 0) + 1;
    if (fault !== undefined)
      this.#fault ??= `the answer ${fault}: ${reply.toHex()} to ${message.toHex()}; SEED=${SEED}`;
  }

  #textOf(id: number): string {
    return this.#byId.get(id)?.message.toHex() ?? "";
  }
}

/** Bytes of the first message in a stream, with its length; more than there are when not even that is there. */
function sizeOf(stream: Uint8Array): number {
  return stream.length < 2 ? 2 : (((stream[0] ?? 0) << 8) | (stream[1] ?? 0)) + 2;
}

function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(message.length >> 8, message.length & 0xff), message]);
}

function residentKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

describe(`the DNS server, sent ${ROUNDS * ROUND} mutated packets over UDP and TCP (SEED=${SEED}),`, function () {
  this.timeout(3_600_000);
  const random = numbers(SEED);
  const judge = new Judge();
  const stops: (() => unknown)[] = [];
  let served: DnsProcess;

  before(async () => {
    const upstream = await startUpstream(numbers(SEED + 1));
    stops.push(() => upstream.close());
    served = await DnsProcess.serve("--node", "here", "--upstream", `127.0.0.1:${upstream.port}`, "--cache", "1");
    stops.push(() => served.stop());
    // The file of tasks is read after the server listens.
    await served.until(async () => (await served.dig("+short", LOCAL)) === "9.0.1.7\n");
    await judge.begin(served.port);
    stops.push(() => judge.end());
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  it("gives each the answer that the RFCs ask for, or none, and keeps its memory", async () => {
    const began = residentKb(served.pid);
    const peaks: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      let peak = 0;
      for (let sent = 0; sent < ROUND; sent += BATCH) {
        const packets = Array.from({ length: BATCH }, () =>
          mutated(BASES[random(BASES.length)] ?? new Uint8Array(0), random),
        );
        await judge.overUdp(packets.slice(BATCH / TCP_SHARE));
        await judge.overTcp(packets.slice(0, BATCH / TCP_SHARE));
        peak = Math.max(peak, residentKb(served.pid));
      }
      peaks.push(peak);
      console.log(
        `      after ${(round + 1) * ROUND} packets: memory ${residentKb(served.pid)} kB, at most ${peak} kB`,
      );
    }
    const codes = Object.entries(judge.codes).map(([code, count]) => `${count} ${code}`);
    console.log(`      ${began} kB before; answers: ${codes.join(", ")}; silence for ${judge.silences}`);
    expect(Math.max(...peaks)).to.be.lessThan(MOST_KB);
    const [first = 0, second = first] = peaks;
    expect(peaks.at(-1)).to.be.lessThan(Math.max(first, second) + GROWTH_KB);
    await served.until(async () => (await served.dig("+short", FOREIGN)) === "192.0.2.7\n");
  });
});
