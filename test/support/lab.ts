import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

/** The executable under test: what the build leaves, or `DCOS_NET_EXECUTABLE`. */
export const EXECUTABLE =
  process.env["DCOS_NET_EXECUTABLE"] ?? fileURLToPath(new URL("../../dist/dcos-net", import.meta.url));

const PREFIX = "dcos-net-labs-";
/** In which what a test waits for must have come, on a machine that is busy with other things too, milliseconds. What
 *  is promised in less is measured, by the benches. */
export const SOON_MS = 30_000;
/** For a test that waits several times. */
export const TEST_LIMIT_MS = 180_000;
/** No command of a lab takes long; one that hangs is ended, milliseconds. */
const COMMAND_LIMIT_MS = 60_000;
const POLL_MS = 50;

/** What a finished command left. */
export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory of labs for one test file. It carries this process's number, so that a later run can tell that its
 *  owner was killed and take down what it left. */
export class Labs {
  readonly #directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  /** There only while a lab is. */
  readonly root = join(this.#directory, "labs");

  /** Runs the executable, without any setting of the caller's but the directory of labs. */
  async run(...args: string[]): Promise<Finished> {
    const child = this.spawn(...args);
    const limit = setTimeout(() => child.kill(), COMMAND_LIMIT_MS);
    const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    clearTimeout(limit);
    return { status, stdout, stderr };
  }

  /** Starts the executable and leaves it running, as long as it likes. */
  spawn(...args: string[]) {
    return Bun.spawn([EXECUTABLE, ...args], {
      env: { PATH: process.env["PATH"] ?? "", DCOS_NET_LAB_DIR: this.root },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Like {@link run}, and throws unless it succeeds. */
  async ok(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...args);
    if (status !== 0)
      throw new Error(`dcos-net ${args.join(" ").slice(0, 100)} ended with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.ok(...args, "--json")) as T;
  }

  /** What the agents of all labs have logged, by the lab's and the host's name. */
  logs(): Record<string, string> {
    const files = [...new Bun.Glob("labs/*/*/agent.log").scanSync({ cwd: this.#directory })].sort();
    const entries = files.map((file) => [
      file.split("/").slice(1, -1).join(" "),
      readFileSync(join(this.#directory, file), "utf8"),
    ]);
    return Object.fromEntries(entries);
  }

  /** Takes every lab down and removes the directory. */
  async clear(): Promise<void> {
    await takeDownAll(this.root);
    rmSync(this.#directory, { recursive: true });
  }
}

/** Takes down what runs that were killed have left. */
export async function sweepLabs(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split("-")[0] : undefined;
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    await takeDownAll(join(tmpdir(), name, "labs"));
    // Another run may sweep at the same time.
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

async function takeDownAll(root: string): Promise<void> {
  const env = { PATH: process.env["PATH"] ?? "", DCOS_NET_LAB_DIR: root };
  for (const lab of existsSync(root) ? readdirSync(root) : []) {
    await Bun.spawn([EXECUTABLE, "lab", "down", "--lab", lab], { env, timeout: COMMAND_LIMIT_MS }).exited;
  }
}

/** Asks until the answer is right. Throws with the last wrong one after `limitMs` milliseconds. */
export async function eventually<T>(limitMs: number, ask: () => Promise<T>, right: (answer: T) => boolean): Promise<T> {
  const start = performance.now();
  for (;;) {
    const answer = await ask();
    if (right(answer)) return answer;
    if (performance.now() - start > limitMs) {
      throw new Error(`after ${limitMs} ms still: ${JSON.stringify(answer, null, 1)}`);
    }
    await Bun.sleep(POLL_MS);
  }
}

/** Asks until the answer is `wanted`, and shows how it differs when that takes more than `limitMs` milliseconds. */
export async function becomes(limitMs: number, ask: () => Promise<string>, wanted: string): Promise<void> {
  const start = performance.now();
  let answer = await ask();
  while (answer !== wanted && performance.now() - start < limitMs) {
    await Bun.sleep(POLL_MS);
    answer = await ask();
  }
  expect(answer).to.equal(wanted);
}

/** Mount points of this machine whose path contains `part`. */
export function mountsWith(part: string): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.map((line) => line.split(" ")[4] ?? "").filter((path) => path.includes(part));
}

/** A suite that needs root and the built executable. Elsewhere its tests are listed as pending under a title that
 *  says why; with `CI=true` they fail instead. */
export function describeLab(title: string, body: (this: Mocha.Suite) => void): void {
  const reason = whyNot();
  if (reason === undefined) describe(title, body);
  else if (process.env["CI"] !== "true") describe.skip(`${title} (skipped: ${reason})`, body);
  else {
    describe(title, () => {
      it("can run here", () => {
        throw new Error(reason);
      });
    });
  }
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  for (const program of ["ip", "bridge", "nft", "ping"]) {
    if (Bun.which(program) === null) return `${program} is not installed`;
  }
  return existsSync(EXECUTABLE) ? undefined : `${EXECUTABLE} is missing: make build`;
}
