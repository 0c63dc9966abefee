/** What a plain ADD and DEL of the bridge plugins don't need. It is one part of the executable, which those never load:
 *  each function that is loaded costs a call a microsecond, and each part of the executable fifty. */
export { collectGarbage } from "../ipam/gc.ts";
export { usage } from "../ipam/usage.ts";
export { checkBridge } from "./bridge-check.ts";
export { protect, unprotect } from "./bridge-firewall.ts";
export { collectBridge } from "./bridge-gc.ts";
export { delegate, delegateAdd } from "./delegate.ts";
export { l4lbPlugin } from "./l4lb.ts";
export { loopback } from "./loopback.ts";
export { portMapperPlugin } from "./port-mapper.ts";
export { portmapPlugin } from "./portmap.ts";
