import type { Kernel } from "../../kernel/kernel.ts";
import { contains, formatIp, type Ip } from "../../lib/address.ts";

/** What came of trying to connect. */
export interface Probed {
  readonly result: "connected" | "refused" | "no answer" | "no route";
  readonly milliseconds: number;
}

/** Opens a TCP connection from a kernel's namespace, and closes it at once. An attempt without answer ends after
 *  `limitMs`. */
export async function probe(kernel: Kernel, ip: Ip, port: number, limitMs: number): Promise<Probed> {
  const start = performance.now();
  const took = (): number => performance.now() - start;
  // What has no route fails like what is refused, so that it is looked up.
  if (!hasRoute(kernel, ip)) return { result: "no route", milliseconds: took() };
  const { promise, resolve } = Promise.withResolvers<Probed["result"]>();
  const timer = setTimeout(() => resolve("no answer"), limitMs);
  // The socket is made within the call, and so in that namespace.
  const socket = kernel.enter(() => Bun.connect({ hostname: formatIp(ip), port, socket: { data() {} } }));
  socket.then(
    (open) => {
      open.end();
      resolve("connected");
    },
    () => resolve("refused"),
  );
  const result = await promise;
  clearTimeout(timer);
  return { result, milliseconds: took() };
}

/** True when the main table of a namespace has a route to the address, or the namespace has it itself. */
export function hasRoute(kernel: Kernel, ip: Ip): boolean {
  if (kernel.addresses().some(({ address }) => contains(address, ip))) return true;
  return kernel.routes({ family: ip.family }).some(({ dst }) => contains(dst, ip));
}
