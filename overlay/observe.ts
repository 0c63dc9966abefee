import type { Kernel, Link, LinkAddress, Route } from "../kernel/kernel.ts";
import { AGENT_TABLE, MAIN_TABLE } from "./key.ts";
import type { Observed } from "./plan.ts";
import type { Desired } from "./table.ts";

/** The part of the kernel's state that doesn't depend on what is wanted; the table is computed from it. */
export interface Surroundings {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
  /** Of the main table. */
  readonly routes: readonly Route[];
  readonly ipv6: boolean;
}

export function surroundings(kernel: Kernel): Surroundings {
  return {
    links: kernel.links(),
    addresses: kernel.addresses(),
    routes: kernel.routes({ table: MAIN_TABLE }),
    ipv6: kernel.sysctl("net/ipv6/conf/all/forwarding") !== undefined,
  };
}

/** Adds the rest of what a plan needs. */
export function observe(
  kernel: Kernel,
  around: Surroundings,
  desired: Desired,
  isolation: Observed["isolation"],
): Observed {
  const vtep = around.links.find((link) => link.name === desired.vtep?.name);
  return {
    links: around.links,
    addresses: around.addresses,
    routes: [...around.routes, ...kernel.routes({ table: AGENT_TABLE })],
    rules: [...kernel.rules(4), ...(around.ipv6 ? kernel.rules(6) : [])],
    neighbors: vtep === undefined ? [] : kernel.neighbors(vtep.name),
    fdb: vtep?.kind === "vxlan" ? kernel.fdb(vtep.name) : [],
    sysctl: (path) => kernel.sysctl(path),
    isolation,
  };
}
