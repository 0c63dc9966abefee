/** What CNI calls load: one part of the executable. */
export { pluginFor } from "../cni/plugins.ts";
export { openLinux } from "../kernel/linux.ts";
