import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";

const ROOT = join(import.meta.dir, "../..");
const DCOS = "dcos.thisdcos.directory";
const TASKS = `
framework: web
tasks:
  - { name: shop, addresses: [9.0.1.7, "fd01:b::7"], ports: [{ name: http, container: 8080 }] }
${Array.from({ length: 200 }, (_, index) => `  - { name: many, addresses: [9.0.2.${index}] }`).join("\n")}
`;

/** A server of the built executable over a directory of tasks, on a port that the kernel chose. */
class Served {
  readonly directory = mkdtempSync(join(tmpdir(), "dcos-net-dns-"));
  readonly #tasks = join(this.directory, "tasks");
  #process: Bun.Subprocess<"ignore", "pipe", "inherit"> | undefined;
  port = 0;

  async start(): Promise<void> {
    mkdirSync(this.#tasks);
    this.write("a.yaml", TASKS);
    const command = ["dns", "serve", "--listen", "127.0.0.1:0", "--tasks", this.#tasks, "--address", "10.0.0.7"];
    this.#process = Bun.spawn([join(ROOT, "dist/dcos-net"), ...command], {
      cwd: this.directory,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const reader = this.#process.stdout.getReader();
    let log = "";
    while (this.port === 0) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`ended: ${log}`);
      log += new TextDecoder().decode(value);
      this.port = Number(/"event":"listening".*"port":(\d+)/.exec(log)?.[1] ?? 0);
    }
    reader.releaseLock();
    await this.until(() => this.dig(`shop.web.containerip.${DCOS}`, "A").includes("9.0.1.7"));
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.#tasks, name), text);
  }

  dig(...query: string[]): string {
    const common = ["@127.0.0.1", "-p", String(this.port), "+tries=1", "+timeout=2"];
    return Bun.spawnSync(["dig", ...common, ...query], { timeout: 10_000 }).stdout.toString();
  }

  kdig(...query: string[]): string {
    const common = ["@127.0.0.1", "-p", String(this.port), "+retry=0", "+timeout=2"];
    return Bun.spawnSync(["kdig", ...common, ...query], { timeout: 10_000 }).stdout.toString();
  }

  async until(done: () => boolean): Promise<void> {
    for (const deadline = performance.now() + 30_000; !done(); await Bun.sleep(20)) {
      if (performance.now() > deadline) throw new Error("it did not come");
    }
  }

  async stop(): Promise<number | undefined> {
    this.#process?.kill("SIGTERM");
    const status = await this.#process?.exited;
    rmSync(this.directory, { recursive: true, force: true });
    return status;
  }
}

describe("dcos-net dns serve, asked by others,", function () {
  this.timeout(60_000);
  const served = new Served();
  const missing = ["dig", "kdig"].filter((program) => Bun.which(program) === null);

  before(async function () {
    if (missing.length > 0) this.skip();
    await served.start();
  });

  after(async () => {
    if (missing.length === 0) expect(await served.stop()).to.equal(0);
  });

  it("answers dig over UDP, by the workers and by the main thread, and over TCP", () => {
    const name = `shop.web.containerip.${DCOS}`;
    for (const how of ["+nocookie", "+cookie", "+noedns", "+tcp"]) {
      expect(served.dig("+short", how, name, "A")).to.equal("9.0.1.7\n");
      expect(served.dig("+short", how, name, "AAAA")).to.equal("fd01:b::7\n");
    }
    expect(served.dig("+short", "-x", "9.0.1.7")).to.equal(`${name}.\n`);
  });

  it("gives services with their addresses", () => {
    const answer = served.dig(`_http._shop._tcp.web.containerip.${DCOS}`, "SRV");
    expect(answer).to.match(/SRV\s+1 1 8080 shop-\w{5}-\S+\.web\.containerip/);
    expect(answer).to.match(/ADDITIONAL SECTION:\n\S+\s+5\s+IN\s+A\s+9\.0\.1\.7/);
  });

  it("lets dig come back over TCP for what doesn't fit", () => {
    const name = `many.web.containerip.${DCOS}`;
    expect(served.dig("+nocookie", "+ignore", name, "A")).to.match(/flags: qr aa tc/);
    expect(served.dig("+short", name, "A").trim().split("\n").length).to.equal(200);
  });

  it("answers kdig for many queries on one connection", () => {
    const names = Array.from({ length: 20 }, () => `shop.web.agentip.${DCOS}`);
    const answers = served.kdig("+tcp", "+keepopen", "+short", ...names);
    expect(answers.trim().split("\n")).to.deep.equal(names.map(() => "10.0.0.7"));
  });

  it("says with the reason what it doesn't answer for", () => {
    const answer = served.dig("example.org", "A");
    expect(answer)
      .to.match(/status: REFUSED/)
      .and.to.match(/EDE: 20/);
    expect(served.dig("+opcode=update", `shop.web.agentip.${DCOS}`, "A")).to.match(/status: NOTIMP/);
  });

  it("follows the files", async () => {
    const name = `late.web.agentip.${DCOS}`;
    expect(served.dig(name, "A")).to.match(/status: NXDOMAIN/);
    served.write("late.yaml", "framework: web\ntasks: [{ name: late }]\n");
    await served.until(() => served.dig("+short", "+nocookie", name, "A") === "10.0.0.7\n");
    served.write("late.yaml", "framework: web\ntasks: []\n");
    await served.until(() => served.dig("+nocookie", name, "A").includes("NXDOMAIN"));
  });
});
