import { readdirSync } from "node:fs";
import type { Kernel } from "../../kernel/kernel.ts";
import { NetError } from "../../lib/error.ts";
import { netnsIdentity } from "../process.ts";

/** The network namespace of a container, as a kernel to close: by its path, by the number of a process in it, or by the
 *  id under which our CNI plugins attached it. Throws a NetError `not-found`. */
export function containerKernel(kernel: Kernel, container: string): Kernel {
  const path = container.startsWith("/")
    ? container
    : /^\d+$/.test(container)
      ? `/proc/${container}/ns/net`
      : pathOfAttached(kernel, container);
  const netns = path === undefined ? undefined : kernel.openNetns(path);
  if (netns !== undefined) return kernel.within(netns);
  throw new NetError("not-found", {
    tried: `find container ${JSON.stringify(container.slice(0, 100))}`,
    said: "there is no such process, namespace, or container on an overlay of this node",
    remedy: "give the number of a process in it, the path of its network namespace, or its whole CNI id",
  });
}

/** Our plugins name the container in the alias of its link on the host: `dcos-net <overlay> <container> <interface>`.
 *  The namespace is the one with a link at the other end. */
function pathOfAttached(kernel: Kernel, container: string): string | undefined {
  const link = kernel.links().find(({ alias }) => alias?.split(" ")[2] === container);
  if (link?.peer === undefined) return undefined;
  const seen = new Set<string>();
  for (const name of readdirSync("/proc")) {
    const path = `/proc/${name}/ns/net`;
    const identity = /^\d+$/.test(name) ? netnsIdentity(path) : undefined;
    if (identity === undefined || seen.has(identity)) continue;
    seen.add(identity);
    if (hasLink(kernel, path, link.peer, link.index)) return path;
  }
  return undefined;
}

function hasLink(kernel: Kernel, path: string, index: number, peer: number): boolean {
  const netns = kernel.openNetns(path);
  if (netns === undefined) return false;
  const inside = kernel.within(netns);
  try {
    return inside.linkAt(index)?.peer === peer;
  } finally {
    inside.close();
    netns.close();
  }
}
