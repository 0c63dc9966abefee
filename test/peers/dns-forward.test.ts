import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as packet from "dns-packet";
import { DnsProcess } from "../support/dns-process.ts";
import { a, answerTo } from "../support/dns-upstream.ts";
import { unboundConfiguration } from "../support/unbound.ts";

/** A real unbound that knows a zone, on a port of its own. */
class Unbound {
  readonly port: number;
  readonly #directory: string;
  #process: Bun.Subprocess | undefined;

  constructor(directory: string) {
    this.port = freePort();
    this.#directory = directory;
    const many = Array.from({ length: 200 }, (_, index) => `  local-data: "many.example.org. 300 A 192.0.2.${index}"`);
    const server = [
      '  local-zone: "example.org." static',
      '  local-data: "example.org. 60 SOA ns.example.org. root.example.org. 1 2 3 4 60"',
      '  local-data: "www.example.org. 300 A 192.0.2.7"',
      '  local-data: "www.example.org. 300 AAAA 2001:db8::7"',
      '  local-data: "short.example.org. 1 A 192.0.2.8"',
      ...many,
    ].join("\n");
    writeFileSync(join(directory, "unbound.conf"), unboundConfiguration(directory, this.port, server));
  }

  async start(): Promise<void> {
    this.#process = Bun.spawn(["unbound", "-c", join(this.#directory, "unbound.conf")], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    for (let attempt = 0; attempt < 100; attempt++) {
      const dig = ["dig", "@127.0.0.1", "-p", `${this.port}`, "+short", "+tries=1", "+timeout=1", "www.example.org"];
      if (Bun.spawnSync(dig).stdout.toString().includes("192.0.2.7")) return;
      await Bun.sleep(50);
    }
    throw new Error("unbound does not answer");
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#process?.kill(signal);
  }

  async stop(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }
}

/** A server that does with a query what the test says. */
async function scripted(reply: (message: Buffer, send: (bytes: Uint8Array) => void) => void, hostname = "127.0.0.1") {
  const socket = await Bun.udpSocket({
    hostname,
    socket: {
      data: (self, message, port, address) => reply(message, (bytes) => void self.send(bytes, port, address)),
    },
  });
  return { upstream: `127.0.0.1:${socket.port}`, port: socket.port, stop: () => socket.close() };
}

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

const missing = ["dig", "unbound"].filter((program) => Bun.which(program) === null);
const why = missing.length === 0 ? "" : ` (skipped: ${missing.join(" and ")} missing)`;

(missing.length === 0 ? describe : describe.skip)(`names that a real resolver answers for${why}`, function () {
  this.timeout(60_000);
  const stops: (() => unknown)[] = [];
  let served: DnsProcess;
  let unbound: Unbound;

  const serve = async (...options: readonly string[]): Promise<DnsProcess> => {
    const process = await DnsProcess.serve(...options);
    stops.push(() => process.stop());
    return process;
  };
  const start = async (...more: readonly string[]): Promise<void> => {
    served = await serve("--upstream", `127.0.0.1:${unbound.port}`, ...more);
  };

  beforeEach(async () => {
    const own = new DnsProcess();
    stops.push(() => own.stop());
    unbound = new Unbound(own.directory);
    await unbound.start();
    stops.push(() => unbound.stop());
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  it("are answered over UDP and TCP, with and without EDNS, again and again, beside the local ones", async () => {
    await start();
    for (const how of ["+nocookie", "+cookie", "+noedns", "+tcp", "+dnssec", "+cdflag", "+nocookie"]) {
      for (let index = 0; index < 2; index++) {
        expect(await served.dig("+short", how, "www.example.org", "A"), how).to.equal("192.0.2.7\n");
        expect(await served.dig("+short", how, "WWW.example.org", "AAAA"), how).to.equal("2001:db8::7\n");
        expect(await served.dig("+short", how, "shop.web.containerip.dcos.thisdcos.directory"), how).to.equal(
          "9.0.1.7\n",
        );
      }
    }
    expect(await served.dig("+cookie", "www.example.org")).to.match(/COOKIE: 0*[0-9a-f]{48} \(good\)/);
    expect(await served.dig("no.example.org"))
      .to.match(/NXDOMAIN/)
      .and.to.match(/SOA\s+ns.example.org/);
    expect(await served.dig("www.example.org", "TXT"))
      .to.match(/NOERROR/)
      .and.to.match(/ANSWER: 0/);
  });

  it("come whole over TCP when there is much of them", async () => {
    await start();
    expect((await served.dig("+short", "many.example.org")).trim().split("\n").length).to.equal(200);
    expect(await served.dig("+nocookie", "+ignore", "many.example.org")).to.match(/flags: qr tc rd ra/);
  });

  it("lead to the upstream of the longest zone", async () => {
    const other = await scripted((message, send) =>
      send(answerTo(message, { answers: [a("x.www.example.org", "192.0.2.99")] })),
    );
    stops.push(other.stop);
    await start(
      "--forward",
      "org=127.0.0.1:9",
      "--forward",
      `www.example.org=${other.upstream}`,
      "--forward",
      `example.org=127.0.0.1:${unbound.port}`,
    );
    expect(await served.dig("+short", "x.www.example.org")).to.equal("192.0.2.99\n");
    expect(await served.dig("+short", "short.example.org")).to.equal("192.0.2.8\n");
    expect(await served.dig("other.org"))
      .to.match(/SERVFAIL/)
      .and.to.match(/EDE: 22.*127.0.0.1:9 ECONNREFUSED/);
  });

  it("are asked of upstreams with IPv6 addresses too", async () => {
    const six = await scripted(
      (message, send) => send(answerTo(message, { answers: [a("www.six", "192.0.2.66")] })),
      "::1",
    );
    stops.push(six.stop);
    await start("--forward", `six=[::1]:${six.port}`);
    expect(await served.dig("+short", "www.six")).to.equal("192.0.2.66\n");
  });

  it("survive upstreams that are dead, lie, talk nonsense or are silent", async () => {
    const liars = [
      (message: Buffer, send: (bytes: Uint8Array) => void) =>
        send(answerTo(message, { id: 1, answers: [a("a", "203.0.113.1")] })),
      (message: Buffer, send: (bytes: Uint8Array) => void) =>
        send(answerTo(message, { question: "evil.example", answers: [a("a", "203.0.113.2")] })),
      (message: Buffer, send: (bytes: Uint8Array) => void) =>
        send(
          Uint8Array.from([...message.subarray(0, 2), 0x80, 0, ...message.subarray(4)]).map((byte, index) =>
            index > 12 ? byte ^ 0x55 : byte,
          ),
        ),
      () => {},
    ];
    const bad = await Promise.all(liars.map((liar) => scripted(liar)));
    for (const { stop } of bad) stops.push(stop);
    await start("--upstream", "127.0.0.1:9", ...bad.flatMap(({ upstream }) => ["--upstream", upstream]));
    // Each within the patience of a client that asks once.
    for (let index = 0; index < 30; index++) expect(await served.dig(`n${index}.example.org`)).to.match(/NXDOMAIN/);
  });

  it("are fetched over TCP from one that cuts, and checked there too", async () => {
    const whole = Array.from({ length: 100 }, (_, index) => a("big.example.com", `192.0.2.${index}`));
    const cutting = await scripted((message, send) => send(answerTo(message, { flags: packet.TRUNCATED_RESPONSE })));
    const tcp = Bun.listen({
      hostname: "127.0.0.1",
      port: cutting.port,
      socket: {
        data(socket, bytes) {
          const answer = answerTo(bytes.subarray(2), { answers: whole });
          socket.write(Uint8Array.from([answer.length >> 8, answer.length & 0xff, ...answer.subarray(0, 500)]));
          setTimeout(() => socket.write(answer.subarray(500)), 20);
        },
      },
    });
    stops.push(cutting.stop, () => tcp.stop(true));
    await start("--forward", `example.com=${cutting.upstream}`);
    expect((await served.dig("+short", "big.example.com")).trim().split("\n").length).to.equal(100);
  });

  it("are given from what was known when all upstreams are dead, and fresh again when they are back", async () => {
    await start();
    expect(await served.dig("+short", "short.example.org")).to.equal("192.0.2.8\n");
    unbound.signal("SIGSTOP");
    await Bun.sleep(1100);
    const stale = await served.dig("short.example.org");
    expect(stale).to.match(/short.example.org.\s+30\s+IN\s+A\s+192.0.2.8/);
    expect(stale).to.match(/EDE: 3 .*said this \d+ s ago/);
    expect(await served.dig("unknown.example.org")).to.match(/SERVFAIL/);
    unbound.signal("SIGCONT");
    await served.until(async () => !(await served.dig("short.example.org")).includes("EDE: 3"));
    expect(await served.dig("+short", "shop.web.containerip.dcos.thisdcos.directory")).to.equal("9.0.1.7\n");
  });

  it("don't go round between two servers that ask each other", async () => {
    const port = freePort();
    const first = await serve("--upstream", `127.0.0.1:${port}`);
    const second = await serve("--listen", `127.0.0.1:${port}`, "--upstream", `127.0.0.1:${first.port}`);
    await first.until(async () => {
      await first.dig("www.example.org");
      return first.log.includes("asks us what we ask it") || second.log.includes("asks us what we ask it");
    });
    const answer = await first.dig("www.example.org");
    expect(answer).to.match(/SERVFAIL|REFUSED/);
  });

  it("aren't asked of the server itself", async () => {
    const port = freePort();
    const own = new DnsProcess();
    stops.push(() => own.stop());
    const started = Bun.spawnSync(
      [
        join(import.meta.dir, "../../dist/dcos-net"),
        "dns",
        "serve",
        "--listen",
        `0.0.0.0:${port}`,
        "--tasks",
        own.directory,
        "--upstream",
        `127.0.0.1:${port}`,
      ],
      { timeout: 10_000 },
    );
    expect(started.exitCode).not.to.equal(0);
    expect(started.stderr.toString()).to.match(/would ask itself for ever/);
  });
});
