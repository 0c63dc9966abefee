import { linesOf } from "./lines.ts";

/** A process in fresh network and mount namespaces that carries out one side's work and takes the time itself. All that
 *  it makes in them is gone when it ends, however it ends. Needs root.
 *
 *  `main` is a script that calls {@link serve}; `spec` is handed to it. */
export class Host<Request, Reply> {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #replies: AsyncIterator<string>;

  constructor(main: string, spec: unknown) {
    const command = ["unshare", "--net", "--mount", process.execPath, main, JSON.stringify(spec)];
    this.#child = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] });
    this.#replies = linesOf(this.#child.stdout);
  }

  async ask(request: Request): Promise<Reply> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    await this.#child.stdin.flush();
    const { value, done } = await this.#replies.next();
    if (done) throw new Error("the benchmark's host ended: its message is above");
    return JSON.parse(value) as Reply;
  }

  async close(): Promise<void> {
    await this.#child.stdin.end();
    await this.#child.exited;
  }
}

/** What the process behind {@link Host} was started with. */
export function hostSpec<Spec>(): Spec {
  return JSON.parse(process.argv[2] ?? "") as Spec;
}

/** Answers the requests of {@link Host}, one at a time, until it closes. */
export async function serve<Request, Reply>(answer: (request: Request) => Reply | Promise<Reply>): Promise<void> {
  // Nothing that the measured programs keep may meet the machine's own.
  for (const directory of ["/run", "/var/lib", "/var/log"]) tool(["mount", "-t", "tmpfs", "bench", directory]);
  tool(["ip", "link", "set", "lo", "up"]);
  for await (const line of linesOf(Bun.stdin.stream())) {
    console.log(JSON.stringify(await answer(JSON.parse(line) as Request)));
  }
}

/** Runs a program of the set-up; its failure ends the benchmark. */
export function tool(command: readonly string[], stdin = ""): void {
  const input = new TextEncoder().encode(stdin);
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: input, stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
}

/** Milliseconds that `action` takes. */
export function timeOf(action: () => void): number {
  const start = Bun.nanoseconds();
  action();
  return (Bun.nanoseconds() - start) / 1e6;
}
