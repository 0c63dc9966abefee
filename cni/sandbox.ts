import type { Kernel, Netns } from "../kernel/kernel.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import type { Call, Host } from "./protocol.ts";

/** The container's namespace, for verbs that can't do without; throws code 8 when CNI_NETNS is none. */
export function requireNetns(call: Call): Netns {
  if (call.netns !== undefined) return call.netns;
  throw new CniError(
    CNI_ERROR.invalidNetns,
    `CNI_NETNS ${JSON.stringify(call.netnsPath)} is not a network namespace`,
    "the path is missing or is another kind of file; has the container gone?",
  );
}

/** Runs `action` with the kernel as seen from inside `netns`. */
export function inSandbox<T>(host: Host, netns: Netns, action: (kernel: Kernel) => T): T {
  const kernel = host.kernel().within(netns);
  try {
    return action(kernel);
  } finally {
    kernel.close();
  }
}
