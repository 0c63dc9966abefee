import { cString } from "../lib/bytes.ts";
import type { NetErrorDetails } from "../lib/error.ts";
import { errnoError } from "./errno.ts";
import { addressOf, trySystemCall } from "./ffi.ts";

/** Commands of bpf(2) (linux/bpf.h, enum bpf_cmd), as far as we use them. */
const COMMAND = {
  mapCreate: 0,
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  programLoad: 5,
  objectPin: 6,
  objectGet: 7,
  programById: 13,
  objectInfo: 15,
  mapLookupBatch: 24,
  mapUpdateBatch: 26,
  mapDeleteBatch: 27,
  linkCreate: 28,
  linkUpdate: 29,
  linkDetach: 34,
} as const;

export type BpfCommand = keyof typeof COMMAND;

/** Longest name of a map or program, without its terminating zero (linux/bpf.h, BPF_OBJ_NAME_LEN). */
export const BPF_NAME_MAX = 15;

const ENOENT = 2;

/** What we pass of union bpf_attr. The kernel reads what is beyond as zeros. */
const ATTRIBUTE_BYTES = 80;

/** Fields of union bpf_attr by offset. Addresses of buffers are numbers: the caller keeps the buffers. */
export interface BpfFields {
  readonly u32?: Readonly<Record<number, number>>;
  readonly u64?: Readonly<Record<number, number>>;
  /** Text of at most {@link BPF_NAME_MAX} bytes. */
  readonly name?: readonly [offset: number, text: string];
}

/** The bytes of union bpf_attr with these fields, the others zero. */
export function bpfAttribute({ u32 = {}, u64 = {}, name }: BpfFields): Uint8Array {
  const bytes = new Uint8Array(ATTRIBUTE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of Object.entries(u32)) view.setUint32(Number(offset), value, true);
  for (const [offset, value] of Object.entries(u64)) view.setBigUint64(Number(offset), BigInt(value), true);
  if (name !== undefined) bytes.set(cString(name[1]).subarray(0, BPF_NAME_MAX), name[0]);
  return bytes;
}

/** bpf(2) with a union bpf_attr: its result, or its negated errno. */
export function tryBpf(command: BpfCommand, attribute: Uint8Array): number {
  return trySystemCall("bpf", COMMAND[command], attribute, attribute.length);
}

/** Like {@link tryBpf}, but throws a NetError that says what was `tried` and, where it is known, what the kernel
 *  lacks. */
export function bpf(tried: string, command: BpfCommand, attribute: Uint8Array): number {
  const result = tryBpf(command, attribute);
  if (result < 0) throw bpfError(-result, { tried });
  return result;
}

/** A NetError for a refusal of bpf(2), with the remedy that fits it. */
export function bpfError(errno: number, details: Omit<NetErrorDetails, "errno">): Error {
  const error = errnoError(errno, details);
  const remedy = error.errno === undefined ? undefined : REMEDY[error.errno];
  return remedy === undefined || details.remedy !== undefined ? error : errnoError(errno, { ...details, remedy });
}

const REMEDY: Readonly<Record<string, string>> = {
  ENOSYS: "the kernel needs CONFIG_BPF_SYSCALL",
  EPERM:
    "run as root with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8), outside kernel lockdown",
};

/** Keeps an object (map, program, link) alive under a name in a BPF file system, whoever ends. Throws EEXIST when the
 *  name is taken. */
export function pinBpf(descriptor: number, path: string): void {
  const text = cString(path);
  bpf(
    `pin a BPF object at ${path}`,
    "objectPin",
    bpfAttribute({ u64: { 0: addressOf(text) }, u32: { 8: descriptor } }),
  );
}

/** A descriptor of the object that is pinned at `path`; undefined when there is none. */
export function pinnedBpf(path: string): number | undefined {
  const text = cString(path);
  const result = tryBpf("objectGet", bpfAttribute({ u64: { 0: addressOf(text) } }));
  if (result === -ENOENT) return undefined;
  if (result < 0) throw bpfError(-result, { tried: `open the BPF object at ${path}` });
  return result;
}

/** What the kernel tells of an object (struct bpf_map_info, bpf_prog_info, bpf_link_info): the first `size` bytes of
 *  it. What an older kernel doesn't know stays zero. `prepare` may set fields that are answered through an address. */
export function bpfInfo(descriptor: number, size: number, prepare?: (view: DataView) => void): DataView {
  const info = new Uint8Array(size);
  const view = new DataView(info.buffer);
  prepare?.(view);
  const attribute = bpfAttribute({ u32: { 0: descriptor, 4: size }, u64: { 8: addressOf(info) } });
  bpf(`ask for a BPF object`, "objectInfo", attribute);
  return view;
}
