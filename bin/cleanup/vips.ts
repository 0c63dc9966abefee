import type { DataplaneKind } from "../../l4lb/dataplane.ts";
import { IPVS_TABLE } from "../../l4lb/dataplanes/ipvs-firewall.ts";
import { L4LB_TABLE } from "../../l4lb/dataplanes/nftables-table.ts";
import { openersOf } from "../l4lb/dataplanes.ts";
import { UsedDataplanes } from "../l4lb/used-dataplanes.ts";
import type { Host } from "./host.ts";
import type { Remnant } from "./remnant.ts";
import { outlineOf } from "./tables.ts";

/** The data planes that this node has noted to have used, and those that show in its kernel although the note is
 *  lost. */
export function vipRemnants({ config, kernel, files }: Host): Remnant[] {
  const used = new UsedDataplanes(files, config.state_dir);
  const signs: Readonly<Record<DataplaneKind, boolean>> = {
    nftables: outlineOf(kernel, "inet", L4LB_TABLE) !== undefined,
    ipvs: outlineOf(kernel, "inet", IPVS_TABLE) !== undefined,
    socket: files.stat(config.l4lb_bpf_dir) !== undefined,
  };
  const openers = [...openersOf(config)];
  return openers
    .filter(([kind]) => signs[kind] || used.others(undefined).includes(kind))
    .map(([kind, open]) => ({
      what: `virtual IPs in data plane ${kind}`,
      remove() {
        const dataplane = open(kernel);
        try {
          dataplane.remove();
        } finally {
          dataplane.close();
        }
        used.delete(kind);
      },
    }));
}
