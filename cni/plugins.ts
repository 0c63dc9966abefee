import { bridgePlugin } from "./bridge.ts";
import { hostLocal } from "./host-local.ts";
import { isPluginName, type PluginName } from "./names.ts";
import type { Plugin } from "./protocol.ts";

const bridge = bridgePlugin("bridge", "dcos-net in place of the reference bridge plugin", false);
const loadRare = () => require("./rare.ts") as typeof import("./rare.ts");

const PLUGINS: Readonly<Record<PluginName, () => Plugin>> = {
  dcos: () =>
    bridgePlugin("dcos", "dcos-net plugin: bridge, addresses, masquerading and host ports in one process", true),
  bridge: () => bridge,
  "dcos-ipam": () => hostLocal,
  "host-local": () => hostLocal,
  "dcos-portmap": () => loadRare().portmapPlugin("dcos-portmap"),
  portmap: () => loadRare().portmapPlugin("portmap"),
  "dcos-l4lb": () => loadRare().l4lbPlugin((type) => (isPluginName(type) ? pluginFor(type) : undefined)),
  // Its delegate must leave host ports alone, hence never dcos itself.
  "mesos-cni-port-mapper": () =>
    loadRare().portMapperPlugin((type) => (type === "bridge" || type === "dcos" ? bridge : undefined)),
  loopback: () => loadRare().loopback,
};

/** The plugin of a name. */
export function pluginFor(name: PluginName): Plugin {
  return PLUGINS[name]();
}
