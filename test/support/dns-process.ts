import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const EXECUTABLE = join(import.meta.dir, "../../dist/dcos-net");

/** The built executable as a DNS server of its own process, with a directory that goes with it. */
export class DnsProcess {
  readonly directory = mkdtempSync(join(tmpdir(), "dcos-net-dns-"));
  port = 0;
  log = "";
  #process: Bun.Subprocess<"ignore", "pipe", "inherit"> | undefined;
  #reading: Promise<void> | undefined;

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** `dns serve` on a port that the kernel chooses, with these options too. */
  static async serve(...options: readonly string[]): Promise<DnsProcess> {
    const served = new DnsProcess();
    const tasks = join(served.directory, "tasks");
    mkdirSync(tasks);
    writeFileSync(join(tasks, "a.yaml"), "framework: web\ntasks: [{ name: shop, addresses: [9.0.1.7] }]\n");
    const listen = options.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    await served.run("dns", "serve", ...listen, "--tasks", tasks, "--address", "10.0.0.7", ...options);
    return served;
  }

  /** Runs any command that listens; resolves when it does. */
  async run(...command: readonly string[]): Promise<void> {
    const child = Bun.spawn([EXECUTABLE, ...command], {
      cwd: this.directory,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    this.#reading = (async () => {
      for await (const chunk of child.stdout) this.log += new TextDecoder().decode(chunk);
    })();
    const listening = /"event":"listening".*"port":(\d+)/;
    await this.until(() => listening.test(this.log) || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`ended: ${this.log}`);
    this.port = Number(listening.exec(this.log)?.[1]);
  }

  async dig(...query: readonly string[]): Promise<string> {
    const common = ["@127.0.0.1", "-p", String(this.port), "+tries=1", "+timeout=4"];
    // Not waited for in one step: the test may be its upstream.
    const child = Bun.spawn(["dig", ...common, ...query], { stdio: ["ignore", "pipe", "ignore"], timeout: 10_000 });
    return await new Response(child.stdout).text();
  }

  async until(done: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
    for (const deadline = performance.now() + seconds * 1000; !(await done()); await Bun.sleep(20)) {
      if (performance.now() > deadline) throw new Error(`it did not come; the log is ${this.log.slice(-2000)}`);
    }
  }

  /** The exit status. */
  async stop(): Promise<number | undefined> {
    this.#process?.kill("SIGTERM");
    const status = await this.#process?.exited;
    await this.#reading;
    rmSync(this.directory, { recursive: true, force: true });
    return status;
  }
}
