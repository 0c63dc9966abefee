import { CString, dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { NetError } from "../lib/error.ts";
import { errnoError } from "./errno.ts";

/** What a system call argument may be: a non-negative number, or the address of a buffer that the caller keeps. */
export type Argument = number | Uint8Array | null;

/** System call numbers of the two architectures that we build for: [x86-64 (asm/unistd_64.h), arm64
 *  (asm-generic/unistd.h)]. Only calls that exist on both, so no `open`, `unlink` or `poll`. */
const NUMBER = {
  read: [0, 63],
  write: [1, 64],
  close: [3, 57],
  rt_sigprocmask: [14, 135],
  ioctl: [16, 29],
  ftruncate: [77, 46],
  pread64: [17, 67],
  pwrite64: [18, 68],
  socket: [41, 198],
  sendto: [44, 206],
  recvfrom: [45, 207],
  bind: [49, 200],
  connect: [42, 203],
  getsockname: [51, 204],
  setsockopt: [54, 208],
  getsockopt: [55, 209],
  fcntl: [72, 25],
  flock: [73, 32],
  fchmod: [91, 52],
  umount2: [166, 39],
  exit_group: [231, 94],
  mount: [165, 40],
  getdents64: [217, 61],
  openat: [257, 56],
  mkdirat: [258, 34],
  unlinkat: [263, 35],
  renameat: [264, 38],
  ppoll: [271, 73],
  unshare: [272, 97],
  utimensat: [280, 88],
  recvmmsg: [299, 243],
  sendmmsg: [307, 269],
  prlimit64: [302, 261],
  setns: [308, 268],
  bpf: [321, 280],
  statx: [332, 291],
} as const;

export type SystemCall = keyof typeof NUMBER;

const ARCHITECTURE = process.arch === "arm64" ? 1 : 0;

/** One binding for all system calls: each bound symbol costs 14 µs of every CNI call's start-up, and there would be
 *  23. */
const libc = dlopen("libc.so.6", {
  syscall: {
    args: [FFIType.i64_fast, FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.ptr],
    returns: FFIType.i64_fast,
  },
  __errno_location: { args: [], returns: FFIType.ptr },
}).symbols;

const errnoLocation = libc.__errno_location() as Pointer;

/** What a system call is given; what is left out is 0. */
type Arguments = readonly [a?: Argument, b?: Argument, c?: Argument, d?: Argument, e?: Argument];

/** The result of a system call, or its negated errno. Interrupted calls are repeated. errno is read directly after the
 *  call, before anything that could make another one. Each argument is a parameter of its own, since an array of them
 *  would be garbage of every call. */
export function trySystemCall(
  name: SystemCall,
  a: Argument = 0,
  b: Argument = 0,
  c: Argument = 0,
  d: Argument = 0,
  e: Argument = 0,
): number {
  for (;;) {
    const result = Number(
      libc.syscall(NUMBER[name][ARCHITECTURE], a as Pointer, b as Pointer, c as Pointer, d as Pointer, e as Pointer),
    );
    if (result !== -1) return result;
    const errno = read.i32(errnoLocation, 0);
    if (errno !== 4) return -errno;
  }
}

/** Like {@link trySystemCall}, but throws a NetError that says what was `tried`. */
export function systemCall(tried: string, name: SystemCall, ...args: Arguments): number {
  const result = trySystemCall(name, ...args);
  if (result < 0) throw errnoError(-result, { tried });
  return result;
}

/** Where a buffer lies in memory, for structures that point to others. It stays there as long as the caller keeps the
 *  buffer. */
export function addressOf(bytes: Uint8Array): number {
  return Number(ptr(bytes));
}

/** Ends the process at once, without the runtime's own clean-up, which costs a short-lived process half a millisecond.
 *  Only for callers that write through system calls: buffered output would be lost. */
export function exitNow(status: number): never {
  trySystemCall("exit_group", status);
  throw new Error("exit_group returned");
}

/** A libnftables context: a pointer, opaque to everybody else. */
export type NftContext = Pointer | bigint;

/** The few functions of libnftables that we call (libnftables(3)). */
export interface LibNftables {
  /** A context bound to the namespace of the calling thread; undefined when the library can't open netlink. */
  newContext(): NftContext | undefined;
  freeContext(context: NftContext): void;
  setJsonOutput(context: NftContext, on: boolean): void;
  /** Runs commands (text with a terminating zero); 0 is success. */
  run(context: NftContext, commands: Uint8Array): number;
  output(context: NftContext): string;
  errors(context: NftContext): string;
}

let nftablesLibrary: LibNftables | undefined;

/** libnftables, loaded at the first call: most CNI calls need no firewall. Throws a NetError naming the package to
 *  install. */
export function libNftables(): LibNftables {
  nftablesLibrary ??= loadNftables();
  return nftablesLibrary;
}

const NFT_CTX_OUTPUT_JSON = 16;

function loadNftables(): LibNftables {
  let symbols: ReturnType<typeof openNftables>;
  try {
    symbols = openNftables();
  } catch (cause) {
    throw new NetError("unavailable", {
      tried: "load libnftables.so.1",
      said: cause instanceof Error ? cause.message : String(cause),
      remedy: "install it (Debian: libnftables1, Fedora: nftables)",
      cause,
    });
  }
  return {
    newContext() {
      const context = symbols.nft_ctx_new(0);
      if (context === null) return undefined;
      symbols.nft_ctx_buffer_output(context);
      symbols.nft_ctx_buffer_error(context);
      return context;
    },
    freeContext: (context) => symbols.nft_ctx_free(context as Pointer),
    setJsonOutput: (context, on) => symbols.nft_ctx_output_set_flags(context as Pointer, on ? NFT_CTX_OUTPUT_JSON : 0),
    run: (context, commands) => symbols.nft_run_cmd_from_buffer(context as Pointer, commands),
    output: (context) => textAt(symbols.nft_ctx_get_output_buffer(context as Pointer)),
    errors: (context) => textAt(symbols.nft_ctx_get_error_buffer(context as Pointer)),
  };
}

function openNftables() {
  return dlopen("libnftables.so.1", {
    nft_ctx_new: { args: ["u32"], returns: "ptr" },
    nft_ctx_free: { args: ["ptr"], returns: "void" },
    nft_ctx_buffer_output: { args: ["ptr"], returns: "i32" },
    nft_ctx_buffer_error: { args: ["ptr"], returns: "i32" },
    nft_ctx_output_set_flags: { args: ["ptr", "u32"], returns: "void" },
    nft_run_cmd_from_buffer: { args: ["ptr", "ptr"], returns: "i32" },
    nft_ctx_get_output_buffer: { args: ["ptr"], returns: "ptr" },
    nft_ctx_get_error_buffer: { args: ["ptr"], returns: "ptr" },
  }).symbols;
}

function textAt(pointer: Pointer | bigint | null): string {
  return pointer === null ? "" : new CString(pointer as Pointer).toString();
}
