/** Firewall and connection tracking: a part of the executable that is loaded at first use, because most calls of a CNI
 *  plugin need neither. */
export { openConntrack } from "./conntrack-linux.ts";
export { openNftables } from "./libnftables.ts";
