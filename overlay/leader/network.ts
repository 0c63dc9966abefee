import type { Prefix } from "../../lib/address.ts";
import type { Overlay } from "../cluster.ts";
import { LARGEST_MTU, LEAST_MTU } from "../mtu.ts";
import { overlaySpaces, readOui, readOverlays, readPool } from "../network-keys.ts";
import { isObject, refusal, Section } from "../section.ts";
import { overlapProblems } from "../subnet.ts";

/** The leader's configuration: what DC/OS calls `dcos_overlay_network`. */
export interface OverlayNetwork {
  readonly vtepSubnet: Prefix;
  readonly vtepSubnet6: Prefix | undefined;
  /** Vendor part of the tunnel endpoints' hardware addresses, lower case: `70:b3:d5`. */
  readonly macOui: string;
  /** MTU of the tunnel device, bytes; as the overlay's when undefined. */
  readonly vtepMtu: number | undefined;
  /** In the order of the configuration. */
  readonly overlays: readonly Overlay[];
}

const NETWORK_KEYS = ["vtep_subnet", "vtep_subnet6", "vtep_mac_oui", "vtep_mtu", "overlays"] as const;

/** What DC/OS installs when its operator says nothing. */
export const DEFAULT_NETWORK = {
  vtep_subnet: "44.128.0.0/20",
  vtep_subnet6: "fd01:a::/64",
  vtep_mac_oui: "70:B3:D5:00:00:00",
  overlays: [
    { name: "dcos", subnet: "9.0.0.0/8", prefix: 24 },
    { name: "dcos6", subnet6: "fd01:b::/64", prefix6: 80 },
  ],
} as const;

/**
 * Checks the parsed JSON or YAML of a `dcos_overlay_network`. Beyond what the reference checks, every key must be
 * known, ranges must hold at least one node's subnet of usable size, names must be safe as file and device names, no
 * range may overlap another one or the tunnel endpoints', and IPv6 overlays need `vtep_subnet6`, or no node could be
 * reached in them.
 *
 * Throws a NetError `invalid` with every problem and the key it is in; `source` says where the value came from.
 */
export function parseOverlayNetwork(value: unknown, source = "dcos_overlay_network"): OverlayNetwork {
  if (!isObject(value)) throw refusal(source, ["must be an object with vtep_subnet, vtep_mac_oui and overlays"]);
  const problems: string[] = [];
  const section = new Section("", value, problems);
  section.allow(NETWORK_KEYS);
  for (const key of ["vtep_subnet", "vtep_mac_oui", "overlays"]) section.required(key);
  const vtepSubnet = readPool(section, "vtep_subnet", 4);
  const vtepSubnet6 = readPool(section, "vtep_subnet6", 6);
  const macOui = readOui(section);
  const vtepMtu = section.integer("vtep_mtu", LEAST_MTU, LARGEST_MTU);
  const definitions = readOverlays(section) ?? [];
  if (Array.isArray(value["overlays"]) && value["overlays"].length === 0) {
    section.problem("overlays", "must list at least one overlay; to take one out of use give it enabled: false");
  }
  const overlays = definitions.map(({ overlay }) => overlay);
  const spaces = overlaySpaces(definitions);
  if (vtepSubnet !== undefined) spaces.push({ key: "vtep_subnet", prefix: vtepSubnet });
  if (vtepSubnet6 !== undefined) spaces.push({ key: "vtep_subnet6", prefix: vtepSubnet6 });
  problems.push(...overlapProblems(spaces));
  requireVtepSubnet6(section, overlays);
  if (problems.length > 0 || vtepSubnet === undefined || macOui === undefined) throw refusal(source, problems);
  return { vtepSubnet, vtepSubnet6, macOui, vtepMtu, overlays };
}

/** Reads the text of a configuration file in JSON. Throws as {@link parseOverlayNetwork}. */
export function parseOverlayNetworkText(text: string, source: string): OverlayNetwork {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal(source, [`isn't JSON: ${error instanceof Error ? error.message : String(error)}`]);
  }
  return parseOverlayNetwork(value, source);
}

function requireVtepSubnet6(section: Section, overlays: readonly Overlay[]): void {
  const names = overlays.filter(({ v6 }) => v6 !== undefined).map(({ name }) => name);
  if (names.length > 0 && !section.has("vtep_subnet6")) {
    section.problem("vtep_subnet6", `is required, because ${names.join(", ")} has IPv6 addresses`);
  }
}
