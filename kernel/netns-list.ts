import { NetError } from "../lib/error.ts";
import { systemCall, trySystemCall } from "./ffi.ts";
import { linuxFiles } from "./file.ts";
import type { OpenNetns } from "./link.ts";
import { mounts } from "./mounts.ts";
import { inNetns, openNetns } from "./netns.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;

/** Every network namespace that a process lives in or that is kept by a mount, each once. One that only an open socket
 *  keeps alive has no name and is not found. The caller closes them. */
export function everyNetns(): OpenNetns[] {
  const found = new Map<string, OpenNetns>();
  for (const path of netnsPaths()) {
    const netns = tryOpen(path);
    if (netns === undefined) continue;
    if (found.has(netns.id)) netns.close();
    else found.set(netns.id, netns);
  }
  return [...found.values()];
}

function netnsPaths(): string[] {
  const processes = linuxFiles.list("/proc").filter((name) => /^\d+$/.test(name));
  const kept = mounts().filter(({ type }) => type === "nsfs");
  return [...processes.map((pid) => `/proc/${pid}/ns/net`), ...kept.map(({ path }) => path)];
}

/** Undefined for a process that ends at this moment, or that we may not look into. */
function tryOpen(path: string): OpenNetns | undefined {
  try {
    return openNetns(path);
  } catch (error) {
    if (error instanceof NetError) return undefined;
    throw error;
  }
}

/** The number by which eBPF programs know a namespace (bpf_get_netns_cookie); no other one ever gets it. Undefined
 *  before Linux 5.14. */
export function netnsCookie(netns: OpenNetns): bigint | undefined {
  return inNetns(netns, () => {
    const descriptor = systemCall("open a socket", "socket", AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const value = new BigUint64Array(1);
    const length = Uint32Array.of(8);
    const result = trySystemCall(
      "getsockopt",
      descriptor,
      SOL_SOCKET,
      SO_NETNS_COOKIE,
      new Uint8Array(value.buffer),
      new Uint8Array(length.buffer),
    );
    trySystemCall("close", descriptor);
    return result < 0 ? undefined : value[0];
  });
}
