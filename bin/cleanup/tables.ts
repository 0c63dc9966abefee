import type { FirewallTable } from "../../cni/firewall-commands.ts";
import { MAC_SPOOF } from "../../cni/macspoof.ts";
import { MASQUERADE } from "../../cni/masquerade.ts";
import { HOST_PORTS } from "../../cni/portmap-rules.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { NftOutline } from "../../kernel/nftables.ts";
import { count } from "../output.ts";
import type { Host } from "./host.ts";
import type { Remnant } from "./remnant.ts";

/** What the CNI plugins and the Docker driver share, and no container takes away with it. */
const SHARED: readonly FirewallTable[] = [MASQUERADE[4], MASQUERADE[6], HOST_PORTS[4], HOST_PORTS[6], MAC_SPOOF];

/** The nftables tables for containers: masquerading, host ports, guarded hardware addresses. One that has entries
 *  serves the containers that these are for. */
export function tableRemnants({ kernel }: Host): Remnant[] {
  return SHARED.flatMap(({ family, name }) => {
    const outline = outlineOf(kernel, family, name);
    if (outline === undefined) return [];
    const elements = outline.sets.map((set) => kernel.nftables.elements(family, name, set)?.length ?? 0);
    const entries = elements.reduce((sum, each) => sum + each, 0);
    return {
      what: `table ${family} ${name}`,
      ...(entries === 0 ? {} : { inUse: `${count(entries, "rule")} of containers in it` }),
      remove: () => kernel.nftables.run([`delete table ${family} ${name}`]),
    };
  });
}

/** What a table consists of; undefined when it is missing, as all are where nftables can't be had. */
export function outlineOf(kernel: Kernel, family: string, table: string): NftOutline | undefined {
  try {
    return kernel.nftables.outline(family, table);
  } catch {
    return undefined;
  }
}
