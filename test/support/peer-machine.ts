import { fileURLToPath } from "node:url";
import { cgroupName, removeCgroups, sweepCgroups } from "./peer-cgroups.ts";

/** What a finished program left. */
export interface Ran {
  /** Exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  /** The whole environment; `PATH` and `TMPDIR` only when absent. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds; the program counts as failed with code 137 afterwards. 30,000 when absent. */
  readonly timeoutMs?: number;
}

/** A program left running inside a machine. */
export interface Running {
  /** Its first line of standard output: what servers print when they are ready. */
  readonly firstLine: string;
  stop(): Promise<void>;
}

/** Where the world behind a machine's uplink listens, and the node's own address as that world sees it. */
export const INTERNET = { v4: "198.51.100.2", v6: "2001:db8:51::2" } as const;
export const NODE = { v4: "198.51.100.1", v6: "2001:db8:51::1" } as const;

/** The directory of CNI plugins inside a machine, the one that runtimes look into by default. */
export const PLUGIN_PATH = "/opt/cni/bin";

const SETUP = fileURLToPath(new URL("peer-machine.sh", import.meta.url));
const PLAIN = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", TMPDIR: "/run/tmp" };

/** A node to start container runtimes on: a process tree with its own network, mounts and process numbers, whose
 *  changes to /etc, /opt, /var/lib and /run stay in memory. It needs root, leaves nothing named on the real
 *  machine, and is gone when it is stopped or when the test process dies. Namespace `internet` inside it is the
 *  world behind its uplink. */
export class Machine {
  /** Name below which runtimes put the control groups of their containers. */
  readonly cgroup = cgroupName();
  readonly #holder: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #init: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(
    holder: Bun.Subprocess<"pipe", "pipe", "pipe">,
    init: string,
    env: Readonly<Record<string, string>>,
  ) {
    this.#holder = holder;
    this.#init = init;
    this.#env = env;
  }

  /** Starts a machine that finds the plugins of `plugins` (a directory of the real machine) in {@link PLUGIN_PATH},
   *  and programs in the directories `first` before all others. */
  static async start(plugins: string, first: readonly string[] = []): Promise<Machine> {
    sweepCgroups();
    const env = { ...PLAIN, PATH: [...first, PLAIN.PATH].join(":") };
    const holder = Bun.spawn(
      ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", SETUP, plugins],
      { stdin: "pipe", stdout: "pipe", stderr: "pipe", env },
    );
    const line = await firstLine(holder.stdout);
    if (line !== "ready") throw new Error(`machine didn't start: ${await new Response(holder.stderr).text()}`);
    const children = await Bun.file(`/proc/${holder.pid}/task/${holder.pid}/children`).text();
    return new Machine(holder, children.trim(), env);
  }

  /** Runs a program inside and waits for its end and for the end of its output. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const child = Bun.spawn(this.#inside(argv), {
      stdin: new Blob([options.stdin ?? ""]),
      stdout: "pipe",
      stderr: "pipe",
      env: options.env ?? this.#env,
      timeout: options.timeoutMs ?? 30_000,
      killSignal: "SIGKILL",
    });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, stdout, stderr };
  }

  /** Like {@link run}, for what must succeed: gives standard output, throws with everything said on any other end. */
  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv, options);
    if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Runs a shell script that must succeed, stopping at its first failing command. */
  script(text: string, options: RunOptions = {}): Promise<string> {
    return this.must(["bash", "-ec", text], options);
  }

  /** Starts a program that stays, and waits for its first line. */
  async start(argv: readonly string[], env = this.#env): Promise<Running> {
    const child = Bun.spawn(this.#inside(argv), { stdin: "ignore", stdout: "pipe", stderr: "ignore", env });
    const line = await firstLine(child.stdout);
    const stop = async () => {
      const children = await Bun.file(`/proc/${child.pid}/task/${child.pid}/children`).text();
      for (const pid of children.split(" ")) if (pid.trim() !== "") process.kill(Number(pid), "SIGKILL");
      await child.exited;
    };
    return { firstLine: line, stop };
  }

  /** Writes a file inside, with its directories. */
  async write(path: string, content: string): Promise<void> {
    await Bun.write(this.path(path), content);
  }

  /** Content of a file inside; undefined when there is none. */
  async read(path: string): Promise<string | undefined> {
    const file = Bun.file(this.path(path));
    return (await file.exists()) ? await file.text() : undefined;
  }

  /** Where a path of the machine is found from outside. */
  path(inside: string): string {
    return `/proc/${this.#init}/root${inside}`;
  }

  async stop(): Promise<void> {
    await this.#holder.stdin.end();
    await this.#holder.exited;
    removeCgroups(this.cgroup);
  }

  #inside(argv: readonly string[]): string[] {
    return ["nsenter", "--target", this.#init, "--mount", "--net", "--pid", "--", ...argv];
  }
}

/** The text before the first line end of a stream, or all of it; the rest is read and dropped. */
async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
  void drain(() => reader.read());
  return text.slice(0, text.indexOf("\n"));
}

async function drain(read: () => Promise<{ done: boolean }>): Promise<void> {
  for (;;) if ((await read()).done) return;
}
