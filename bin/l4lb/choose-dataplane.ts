import type { Kernel } from "../../kernel/kernel.ts";
import type { Dataplane, DataplaneKind } from "../../l4lb/dataplane.ts";
import { messageOf, NetError } from "../../lib/error.ts";

/** How each data plane is opened, the best first. */
export type Openers = ReadonlyMap<DataplaneKind, (kernel: Kernel) => Dataplane>;

/** The data plane in use. */
export interface ChosenDataplane {
  readonly dataplane: Dataplane;
  /** Why this one, in words. */
  readonly reason: string;
}

/** Opens the data plane that the setting `l4lb` names, or, for `auto`, the first that the kernel can have. Throws a
 *  NetError when none can be had, with what each of them said. */
export function chooseDataplane(openers: Openers, kernel: Kernel, wanted: "auto" | DataplaneKind): ChosenDataplane {
  const passed: string[] = [];
  for (const [kind, open] of openers) {
    if (wanted !== "auto" && wanted !== kind) continue;
    try {
      const { dataplane, lacking } = prepared(open(kernel));
      const reason = wanted === "auto" ? "the best that this kernel has" : "the setting l4lb says so";
      const without = lacking.map((what) => `it does without ${what}`);
      return { dataplane, reason: [reason, ...without, ...passed].join("; ") };
    } catch (error) {
      if (wanted !== "auto") throw error;
      passed.push(`${kind} can't be had: ${messageOf(error)}`);
    }
  }
  throw new NetError("unsupported", {
    tried: "find a data plane for virtual IPs",
    said: passed.join("; "),
    remedy: "see `dcos-net preflight`, or set l4lb to off",
  });
}

function prepared(dataplane: Dataplane): { readonly dataplane: Dataplane; readonly lacking: readonly string[] } {
  try {
    const { lacking = [] } = dataplane.prepare();
    return { dataplane, lacking };
  } catch (error) {
    dataplane.close();
    throw error;
  }
}
