/** What CNI calls other than VERSION load: one part of the executable. */
export { answer } from "../cni/answer.ts";
export { pluginFor } from "../cni/plugins.ts";
export { openLinux } from "../kernel/linux.ts";
