import type { Kernel, Operation } from "../kernel/kernel.ts";
import type { Files } from "../lib/files.ts";
import { cniFileChanges } from "./cni-files.ts";
import { ISOLATION_TABLE } from "./isolation.ts";
import { observe, surroundings } from "./observe.ts";
import { isOwnLink, planOverlay } from "./plan.ts";
import type { Desired } from "./table.ts";

/** What overlays have left on a node that is to have none. */
export interface OverlayRemains {
  /** CNI configurations; paths. */
  readonly files: readonly string[];
  /** Bridges with containers still on them; names. */
  readonly inUse: readonly string[];
  /** Steps that take links, addresses, rules and routes away, but not the bridges in use. */
  readonly operations: readonly Operation[];
  /** True when our nftables table is there. */
  readonly isolation: boolean;
}

/** The table of a node without any overlay. */
const NOTHING: Desired = {
  vtep: undefined,
  bridges: [],
  addresses: new Map(),
  rules: new Map(),
  routes: new Map(),
  neighbors: new Map(),
  fdb: new Map(),
  sysctls: [],
  isolation: [],
  networks: [],
  mtu: { mtu: 0, reason: "no overlay" },
  omitted: [],
};

/** Looks, by our marks alone and thus without knowing any cluster, what is left of overlays. Changes nothing. */
export function overlayRemains(kernel: Kernel, files: Files, cniDir: string): OverlayRemains {
  const around = surroundings(kernel);
  const isolation = hasIsolation(kernel);
  const { links, local, peers } = planOverlay(NOTHING, observe(kernel, around, NOTHING, "absent"));
  const doomed = new Set(links.flatMap((operation) => (operation.do === "link.delete" ? operation.dev : [])));
  return {
    files: cniFileChanges(files, cniDir, new Map()).remove,
    inUse: around.links.filter((link) => isOwnLink(link) && !doomed.has(link.name)).map(({ name }) => name),
    operations: [...links, ...local, ...peers],
    isolation,
  };
}

function hasIsolation(kernel: Kernel): boolean {
  try {
    return kernel.nftables.outline("inet", ISOLATION_TABLE) !== undefined;
  } catch {
    // Where nftables can't be had there is no table of ours.
    return false;
  }
}
