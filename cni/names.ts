/** Every name that the executable answers to as a plugin: ours, then those of the reference plugins. */
const PLUGIN_NAMES = [
  "dcos",
  "dcos-ipam",
  "dcos-l4lb",
  "dcos-portmap",
  "mesos-cni-port-mapper",
  "bridge",
  "host-local",
  "loopback",
  "portmap",
] as const;

export type PluginName = (typeof PLUGIN_NAMES)[number];

export function isPluginName(name: string): name is PluginName {
  return PLUGIN_NAMES.some((known) => known === name);
}
