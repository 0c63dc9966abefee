import { formatPrefix, type Ip, type Prefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";

/** This node's part of one overlay, as Docker containers are to be attached to it. */
export interface DockerOverlay {
  readonly name: string;
  /** `d-<name>`, shortened as the overlay shortens its own. */
  readonly bridge: string;
  /** The bridge of the CNI containers of the same overlay. */
  readonly cniBridge: string;
  /** Bytes. */
  readonly mtu: number;
  /** One of each family that this node serves. */
  readonly pools: readonly DockerPool[];
  /** Every overlay's addresses: packets to them keep their source address. */
  readonly inside: readonly Prefix[];
}

/** The addresses of one family that Docker containers of this node have: the upper half of the node's subnet. */
export interface DockerPool {
  readonly pool: Prefix;
  /** First address of the pool, on the bridge. */
  readonly gateway: Ip;
  /** The overlay's whole range: where containers of an internal network may go. */
  readonly range: Prefix;
}

/** The overlay called `name`. Throws `not-found` naming those that there are. */
export function overlayNamed(overlays: readonly DockerOverlay[], name: string): DockerOverlay {
  const found = overlays.find((overlay) => overlay.name === name);
  if (found !== undefined) return found;
  const names = overlays.map((overlay) => overlay.name).join(", ");
  throw new NetError("not-found", {
    tried: `find overlay ${JSON.stringify(name)} on this node`,
    said: names === "" ? "this node has no overlay" : `this node has ${names}`,
    remedy: "name one of them with the option overlay, or add it to the cluster",
  });
}

/** `9.0.1.128/25 and fd01::1:8000:0:0/81`. */
export function describePools({ pools }: DockerOverlay): string {
  return pools.map(({ pool }) => formatPrefix(pool)).join(" and ");
}
