import { bridgePlugin } from "./bridge.ts";
import { hostLocal } from "./host-local.ts";
import { loopback } from "./loopback.ts";
import { portMapperPlugin } from "./port-mapper.ts";
import { portmapPlugin } from "./portmap.ts";
import type { Plugin } from "./protocol.ts";

const dcos = bridgePlugin(
  "dcos",
  "dcos-net plugin: bridge, addresses, masquerading and host ports in one process",
  true,
);
const bridge = bridgePlugin("bridge", "dcos-net in place of the reference bridge plugin", false);

/** Every name that the executable answers to as a plugin. */
const PLUGINS: Readonly<Record<string, Plugin>> = {
  dcos,
  bridge,
  "dcos-ipam": hostLocal,
  "host-local": hostLocal,
  "dcos-portmap": portmapPlugin("dcos-portmap"),
  portmap: portmapPlugin("portmap"),
  // Its delegate must leave host ports alone, hence never dcos itself.
  "mesos-cni-port-mapper": portMapperPlugin((type) => (type === "bridge" || type === "dcos" ? bridge : undefined)),
  loopback,
};

/** The plugin of a name, or undefined. */
export function pluginFor(name: string): Plugin | undefined {
  return Object.hasOwn(PLUGINS, name) ? PLUGINS[name] : undefined;
}
