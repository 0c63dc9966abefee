import { join } from "node:path";
import { linesOf } from "./lines.ts";
import type { Step } from "./plugins.ts";

/** What a host in {@link CniHost} is asked to do. */
export type Request =
  | { readonly do: "cycle" }
  /** `count` containers attached, at most `width` at a time; then detached again, untimed. */
  | { readonly do: "burst"; readonly count: number; readonly width: number };

/** Milliseconds from start to end of all calls, process creation included. */
export interface Reply {
  readonly add: number;
  readonly del: number;
}

/** What a host is started with. */
export interface HostSpec {
  /** Where the plugins find each other (CNI_PATH). */
  readonly path: string;
  readonly steps: readonly Step[];
}

/** A host of its own for one side of a benchmark: a process in a fresh network and mount namespace, with container namespaces
 *  in it, which runs plugins and takes the time. All that it makes is gone when it ends, however it ends. Needs root. */
export class CniHost {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #replies: AsyncIterator<string>;

  constructor(spec: HostSpec) {
    this.#child = Bun.spawn(
      [
        "unshare",
        "--net",
        "--mount",
        process.execPath,
        join(import.meta.dir, "cni-host-main.ts"),
        JSON.stringify(spec),
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
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
