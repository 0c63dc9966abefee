import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostSpec, serve, tool } from "./host.ts";
import type { Step } from "./plugins.ts";

// The side of a CNI benchmark: runs plugins in a host of its own (see host.ts), for containers c0, c1, … which are
// network namespaces in it.

/** What it is asked to do. */
export type Request =
  | { readonly do: "cycle" }
  /** `count` containers attached, at most `width` at a time; then detached in the same way. */
  | { readonly do: "burst"; readonly count: number; readonly width: number };

/** Milliseconds from start to end of all calls of a verb, process creation included. */
export interface Reply {
  readonly add: number;
  readonly del: number;
}

/** What it is started with. */
export interface Spec {
  /** Where the plugins find each other (CNI_PATH). */
  readonly path: string;
  readonly steps: readonly Step[];
}

const CNI_VERSION = "1.0.0";
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", CNI_IFNAME: "eth0" };

const { path, steps } = hostSpec<Spec>();
const data = mkdtempSync(join(tmpdir(), "dcos-net-bench-"));
let containers = 0;
let namespaces = 0;

function inputOf({ config }: Step, prevResult: unknown): Uint8Array {
  const ipam = config.ipam === undefined ? {} : { ipam: { ...config.ipam, dataDir: data } };
  const before = prevResult === undefined ? {} : { prevResult };
  return new TextEncoder().encode(
    JSON.stringify({ cniVersion: CNI_VERSION, name: "bench", ...config, ...ipam, ...before }),
  );
}

function environmentOf(verb: string, container: string, netns: string): Record<string, string> {
  return {
    ...ENVIRONMENT,
    CNI_PATH: path,
    CNI_COMMAND: verb,
    CNI_CONTAINERID: container,
    CNI_NETNS: `/run/netns/${netns}`,
  };
}

/** What a plugin printed, as JSON; undefined when nothing. Throws when it failed. */
function resultOf(step: Step, verb: string, exitCode: number | null, stdout: string, stderr: string): unknown {
  if (exitCode !== 0) throw new Error(`${step.plugin} ${verb} ended with ${exitCode}: ${stdout}${stderr}`);
  return stdout === "" ? undefined : JSON.parse(stdout);
}

/** ADD of every step in order, DEL in reverse, as a runtime calls a chain. */
function cycle(): Reply {
  const container = `bench-${++containers}`;
  let prevResult: unknown;
  const call = (verb: string, step: Step): { took: number; result: unknown } => {
    const stdin = inputOf(step, prevResult);
    const env = environmentOf(verb, container, "c0");
    const start = Bun.nanoseconds();
    const { exitCode, stdout, stderr } = Bun.spawnSync([step.plugin], { stdin, stdout: "pipe", stderr: "pipe", env });
    const took = (Bun.nanoseconds() - start) / 1e6;
    return { took, result: resultOf(step, verb, exitCode, stdout.toString(), stderr.toString()) };
  };
  let add = 0;
  for (const step of steps) {
    const { took, result } = call("ADD", step);
    add += took;
    prevResult = result;
  }
  let del = 0;
  for (const step of steps.toReversed()) del += call("DEL", step).took;
  return { add, del };
}

/** All steps of one verb for one container, without blocking the others. */
async function callAll(verb: string, container: string, netns: string): Promise<void> {
  let prevResult: unknown;
  for (const step of verb === "ADD" ? steps : steps.toReversed()) {
    const child = Bun.spawn([step.plugin], {
      stdio: [inputOf(step, prevResult), "pipe", "pipe"],
      env: environmentOf(verb, container, netns),
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    prevResult = resultOf(step, verb, child.exitCode, stdout, stderr);
  }
}

/** Milliseconds for one verb over containers 0 … count − 1, at most `width` at a time. */
async function sweep(verb: string, count: number, width: number): Promise<number> {
  const start = Bun.nanoseconds();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await callAll(verb, `burst-${index}`, `c${index}`);
  };
  await Promise.all(Array.from({ length: width }, worker));
  return (Bun.nanoseconds() - start) / 1e6;
}

/** Container namespaces c0 … c(count − 1). */
function ensureNamespaces(count: number): void {
  for (; namespaces < count; namespaces++) tool(["ip", "netns", "add", `c${namespaces}`]);
}

async function answer(request: Request): Promise<Reply> {
  if (request.do === "cycle") {
    ensureNamespaces(1);
    return cycle();
  }
  ensureNamespaces(request.count);
  return {
    add: await sweep("ADD", request.count, request.width),
    del: await sweep("DEL", request.count, request.width),
  };
}

try {
  await serve(answer);
} finally {
  rmSync(data, { recursive: true, force: true });
}
