import { beginConnect } from "../../kernel/connect.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Ip } from "../../lib/address.ts";

/** What came of trying to connect: `connected`; `no answer` within the time; or the errno name of the refusal. */
export interface Probed {
  readonly result: string;
  readonly milliseconds: number;
}

const LOOK_MS = 2;

/** Opens a TCP connection from a kernel's namespace, and closes it at once. An attempt without answer ends after
 *  `limitMs`. Throws a NetError when no socket can be had. */
export async function probe(kernel: Kernel, ip: Ip, port: number, limitMs: number): Promise<Probed> {
  const start = performance.now();
  const took = (): number => performance.now() - start;
  const connecting = kernel.enter(() => beginConnect(ip, port));
  try {
    for (;;) {
      const outcome = connecting.outcome();
      if (outcome !== undefined) return { result: outcome, milliseconds: took() };
      if (took() > limitMs) return { result: "no answer", milliseconds: took() };
      await Bun.sleep(LOOK_MS);
    }
  } finally {
    connecting.close();
  }
}

/** True for the errno name that says that there is no way to the address. */
export function isNoRoute(result: string): boolean {
  return result === "ENETUNREACH";
}
