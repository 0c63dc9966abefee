import type { Link, Operation } from "../kernel/kernel.ts";
import type { LocalNetwork } from "./cni-config.ts";

/**
 * Puts containers back onto their overlay's bridge: deleting a bridge frees its ports, and the bridge that is made in
 * its place has none. A container's end on the host carries the alias `dcos-net <network> <container> <interface>`,
 * and the network of an overlay is named as the overlay. An end that is on any other bridge was put there by somebody,
 * and stays.
 *
 * `links` are those observed; the bridges may still have to be made.
 */
export function planPorts(networks: readonly LocalNetwork[], links: readonly Link[]): Operation[] {
  const free = links.filter(({ kind, master }) => kind === "veth" && master === undefined);
  if (free.length === 0) return [];
  const obstacles = new Set(links.filter(({ kind }) => kind !== "bridge").map(({ name }) => name));
  return networks
    .filter(({ bridge }) => !obstacles.has(bridge))
    .flatMap(({ name, bridge }) =>
      free.filter(({ alias }) => alias?.startsWith(`dcos-net ${name} `)).flatMap(({ name: dev }) => join(dev, bridge)),
    );
}

/** With the port setting of the CNI configuration that we write: a container reaches its own host ports. */
function join(dev: string, bridge: string): Operation[] {
  return [
    { do: "link.set", dev, set: { master: bridge } },
    { do: "port.set", dev, set: { hairpin: true } },
  ];
}
