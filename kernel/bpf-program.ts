import { fromCString } from "../lib/bytes.ts";
import { BPF_NAME_MAX, bpfAttribute, bpfError, bpfInfo, tryBpf } from "./bpf.ts";
import { addressOf, trySystemCall } from "./ffi.ts";
import { withoutSignals } from "./signal.ts";

/** Kinds of programs (linux/bpf.h, enum bpf_prog_type). */
const TYPE = { "cgroup-sock": 9, "cgroup-sock-addr": 18 } as const;

/** Where a control group runs programs (linux/bpf.h, enum bpf_attach_type), and the kind of program for it. */
const HOOK = {
  connect4: { attach: 10, type: TYPE["cgroup-sock-addr"] },
  connect6: { attach: 11, type: TYPE["cgroup-sock-addr"] },
  sendmsg4: { attach: 14, type: TYPE["cgroup-sock-addr"] },
  sendmsg6: { attach: 15, type: TYPE["cgroup-sock-addr"] },
  recvmsg4: { attach: 19, type: TYPE["cgroup-sock-addr"] },
  recvmsg6: { attach: 20, type: TYPE["cgroup-sock-addr"] },
  getpeername4: { attach: 29, type: TYPE["cgroup-sock-addr"] },
  getpeername6: { attach: 30, type: TYPE["cgroup-sock-addr"] },
  release: { attach: 34, type: TYPE["cgroup-sock"] },
} as const;

/** The hooks of cgroup-bpf that we know, named after the system calls. `release`: a socket is closed. */
export type CgroupHook = keyof typeof HOOK;

const INSTRUCTION_BYTES = 8;
const LOG_BYTES = 1 << 20;
/** How much of the verifier's log an error holds: its end says what is wrong. */
const LOG_LINES = 25;
const LINE_MAX = 200;
const PROGRAM_INFO_BYTES = 80;
const MAPS_MAX = 64;
const EINVAL = 22;

export interface ProgramSpec {
  /** At most 15 letters, digits, `_` and `.`. */
  readonly name: string;
  readonly hook: CgroupHook;
  readonly instructions: Uint8Array;
}

/** What the kernel tells of a loaded program. */
export interface ProgramInfo {
  readonly name: string;
  /** Numbers of the maps that it uses. */
  readonly maps: readonly number[];
}

/** The number of a hook for system calls. */
export function attachTypeOf(hook: CgroupHook): number {
  return HOOK[hook].attach;
}

/** Loads a program and gives its descriptor. A program that the verifier refuses throws a NetError with the end of its
 *  log. */
export function loadProgram(spec: ProgramSpec): number {
  const result = load(spec, undefined);
  if (result >= 0) return result;
  const log = new Uint8Array(new ArrayBuffer(LOG_BYTES));
  const again = load(spec, log);
  if (again >= 0) return again;
  throw refusal(spec, -result, fromCString(log));
}

function load({ name, hook, instructions }: ProgramSpec, log: Uint8Array | undefined): number {
  const license = Uint8Array.of(0);
  const { attach, type } = HOOK[hook];
  const attribute = bpfAttribute({
    u32: {
      0: type,
      4: instructions.length / INSTRUCTION_BYTES,
      24: log === undefined ? 0 : 1,
      28: log?.length ?? 0,
      68: attach,
    },
    u64: { 8: addressOf(instructions), 16: addressOf(license), 32: log === undefined ? 0 : addressOf(log) },
    name: [48, name],
  });
  // The verifier gives up with EAGAIN when the thread gets a signal, and our runtime's garbage collector sends some.
  return withoutSignals(() => tryBpf("programLoad", attribute));
}

function refusal({ name, hook }: ProgramSpec, errno: number, log: string): Error {
  const tried = `load BPF program ${name} for ${hook}`;
  const lines = log.trimEnd().split("\n");
  const end = lines.slice(-LOG_LINES).map((line) => line.slice(0, LINE_MAX));
  if (log !== "") return bpfError(errno, { tried, said: `the verifier says:\n${end.join("\n")}` });
  if (errno !== EINVAL) return bpfError(errno, { tried });
  return bpfError(errno, { tried, said: `the kernel doesn't know ${hook}`, remedy: "it takes Linux 5.9 or later" });
}

/** Lets go of a program. An attached one stays. */
export function closeProgram(descriptor: number): void {
  trySystemCall("close", descriptor);
}

/** What a descriptor of a program stands for. */
export function programInfo(descriptor: number): ProgramInfo {
  const maps = new Uint8Array(new ArrayBuffer(4 * MAPS_MAX));
  const info = bpfInfo(descriptor, PROGRAM_INFO_BYTES, (view) => {
    view.setUint32(52, MAPS_MAX, true);
    view.setBigUint64(56, BigInt(addressOf(maps)), true);
  });
  const count = Math.min(info.getUint32(52, true), MAPS_MAX);
  const view = new DataView(maps.buffer);
  return {
    name: fromCString(new Uint8Array(info.buffer, 64, BPF_NAME_MAX + 1)),
    maps: Array.from({ length: count }, (_, index) => view.getUint32(4 * index, true)),
  };
}

/** What is known of the program with this number; undefined when there is none any more. */
export function programInfoById(id: number): ProgramInfo | undefined {
  const descriptor = tryBpf("programById", bpfAttribute({ u32: { 0: id } }));
  if (descriptor < 0) return undefined;
  try {
    return programInfo(descriptor);
  } finally {
    closeProgram(descriptor);
  }
}
