import { systemCall, trySystemCall } from "./ffi.ts";

/** asm-generic/signal-defs.h. */
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** 64 signals, one bit each. */
const SET_BYTES = 8;

/** Runs `action` while the calling thread takes no signals, for a system call that a signal makes fail. Those that come
 *  meanwhile arrive afterwards. `action` must be synchronous and short. */
export function withoutSignals<T>(action: () => T): T {
  const before = new Uint8Array(new ArrayBuffer(SET_BYTES));
  const all = new Uint8Array(new ArrayBuffer(SET_BYTES)).fill(0xff);
  systemCall("block signals", "rt_sigprocmask", SIG_BLOCK, all, before, SET_BYTES);
  try {
    return action();
  } finally {
    trySystemCall("rt_sigprocmask", SIG_SETMASK, before, null, SET_BYTES);
  }
}
