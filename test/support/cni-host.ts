import { answer } from "../../cni/answer.ts";
import { CniError } from "../../cni/error.ts";
import type { Host, Plugin } from "../../cni/protocol.ts";
import { serve } from "../../cni/serve.ts";
import { type FakeKernel, openFake } from "../../kernel/fake.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";

/** Path of the container's namespace on every fake machine that {@link cniMachine} makes. */
export const NETNS = "/run/netns/container";

/** A complete environment, which tests change key by key. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: NETNS,
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
};

/** A machine in memory with one container namespace. */
export function cniMachine(): FakeKernel {
  const kernel = openFake();
  kernel.createNetns(NETNS);
  return kernel;
}

/** Files that can be appended to and nothing else: all that the dispatcher itself may do. */
export function appendOnlyFiles(): { readonly files: Files; readonly appended: Map<string, string> } {
  const appended = new Map<string, string>();
  const refuse = (what: string) => () => {
    throw new NetError("io", { tried: `${what} a file that no test expects` });
  };
  const files: Files = {
    read: refuse("read"),
    write: refuse("write"),
    create: refuse("create"),
    replace: refuse("replace"),
    rename: refuse("rename"),
    append: (path, content) => void appended.set(path, (appended.get(path) ?? "") + String(content)),
    remove: refuse("remove"),
    removeDirectory: refuse("remove"),
    list: refuse("list"),
    makeDirectory: refuse("make"),
    stat: refuse("stat"),
    touch: refuse("touch"),
    lock: refuse("lock"),
    lockByte: refuse("lock"),
  };
  return { files, appended };
}

/** What one call left. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The log lines, parsed. */
  readonly log: readonly Record<string, unknown>[];
  /** Files appended to. */
  readonly appended: ReadonlyMap<string, string>;
}

export interface CallInput {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Text, bytes, or an object that becomes JSON. */
  readonly stdin?: string | Uint8Array | object;
  readonly kernel?: Kernel;
  /** Adds to files that can only be appended to. */
  readonly files?: Partial<Files>;
  /** Replaces parts of the host. */
  readonly host?: Partial<Host>;
}

/** Serves one call in this process. `env` adds to {@link ENVIRONMENT}; undefined takes a variable away. */
export function callPlugin(
  plugin: Plugin,
  { env = {}, stdin = { name: "net" }, kernel, files = {}, host = {} }: CallInput,
): Outcome {
  const { files: own, appended } = appendOnlyFiles();
  const printed: string[] = [];
  const told: string[] = [];
  let ticks = 0;
  const exitCode = serve(
    { name: plugin.name, load: () => ({ plugin, answer }) },
    {
      env: { ...ENVIRONMENT, ...env },
      readStdin: (limit) => bounded(bytesOf(stdin), limit),
      writeStdout: (text) => void printed.push(text),
      writeStderr: (text) => void told.push(text),
      kernel: () => kernel ?? cniMachine(),
      files: { ...own, ...files },
      clock: { now: () => Date.UTC(2026, 0, 2), monotonic: () => 1.5 * ticks++ },
      ...host,
    },
  );
  const lines = [...appended.values()].join("").trim();
  const log = lines === "" ? [] : lines.split("\n").map((line): Record<string, unknown> => JSON.parse(line));
  return { exitCode, stdout: printed.join(""), stderr: told.join(""), log, appended };
}

/** The error document on standard output; fails when there isn't exactly one. */
export function errorOf(outcome: Outcome): { cniVersion: string; code: number; msg: string; details?: string } {
  if (outcome.exitCode !== 1) throw new Error(`expected a failure, got ${outcome.exitCode}: ${outcome.stdout}`);
  return JSON.parse(outcome.stdout);
}

/** The CniError that `action` throws; fails when it throws none. */
export function cniErrorOf(action: () => unknown): CniError {
  try {
    action();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error("expected a CniError, but nothing was thrown");
}

/** A plugin that notes the verbs that reach it and answers ADD with an empty result. */
export function recordingPlugin(overrides: Partial<Plugin> = {}): {
  readonly plugin: Plugin;
  readonly reached: string[];
} {
  const reached: string[] = [];
  const note = (verb: string) => () => void reached.push(verb);
  const plugin: Plugin = {
    name: "recorder",
    about: "recorder: notes what reaches it",
    add: () => {
      reached.push("ADD");
      return { interfaces: [], ips: [], routes: [], dns: {} };
    },
    del: note("DEL"),
    check: note("CHECK"),
    gc: note("GC"),
    status: note("STATUS"),
    ...overrides,
  };
  return { plugin, reached };
}

function bytesOf(stdin: string | Uint8Array | object): Uint8Array {
  if (stdin instanceof Uint8Array) return stdin;
  return new TextEncoder().encode(typeof stdin === "string" ? stdin : JSON.stringify(stdin));
}

function bounded(bytes: Uint8Array, limit: number): Uint8Array {
  if (bytes.length <= limit) return bytes;
  throw new NetError("invalid", { tried: "read standard input", said: `it is larger than ${limit} bytes` });
}
