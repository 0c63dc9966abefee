import { describeOperation } from "../../kernel/encode.ts";
import { ISOLATION_TABLE, isolationRemoval } from "../../overlay/isolation.ts";
import { overlayRemains } from "../../overlay/remains.ts";
import type { Host } from "./host.ts";
import type { Remnant } from "./remnant.ts";

/** CNI configurations first, so that no container comes while the rest goes. */
export function overlayRemnants({ config, kernel, files }: Host): Remnant[] {
  const { files: paths, inUse, operations, isolation } = overlayRemains(kernel, files, config.cni_dir);
  return [
    ...paths.map((path): Remnant => ({ what: path, remove: () => void files.remove(path) })),
    ...inUse.map(
      (dev): Remnant => ({
        what: `link ${dev}`,
        inUse: "containers are still on it",
        remove: () => kernel.apply([{ do: "link.delete", dev }]),
      }),
    ),
    ...operations.map(
      (operation): Remnant => ({
        what: describeOperation(operation).replace(/^delete /, ""),
        remove: () => kernel.apply([operation]),
      }),
    ),
    ...(isolation
      ? [{ what: `table inet ${ISOLATION_TABLE}`, remove: () => kernel.nftables.run(isolationRemoval()) }]
      : []),
  ];
}
