import type { Family, Prefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Overlay, OverlayRange } from "../cluster.ts";
import { isObject, Section } from "../section.ts";
import {
  bridgeName,
  type NamedPrefix,
  overlapProblems,
  overlayNameProblem,
  rangeProblems,
  unusableProblem,
} from "../subnet.ts";

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
const OVERLAY_KEYS = ["name", "subnet", "prefix", "subnet6", "prefix6", "enabled", "isolated"] as const;
const MOST_OVERLAYS = 64;
const MOST_PROBLEMS_SHOWN = 20;
const LEAST_MTU = 552;
const LARGEST_MTU = 65_535;

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
  const { overlays, spaces } = readOverlays(section);
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

/** Reads one pool of tunnel endpoints. The hardware address carries 24 bits of the IPv4 endpoint, so a wider pool
 *  would give two nodes one hardware address. */
function readPool(section: Section, key: string, family: Family): Prefix | undefined {
  const prefix = section.network(key, family);
  if (prefix === undefined) return undefined;
  const unusable = unusableProblem(prefix);
  if (unusable !== undefined) section.problem(key, unusable);
  const [widest, narrowest] = family === 4 ? [8, 30] : [0, 126];
  if (prefix.length < widest || prefix.length > narrowest) {
    section.problem(key, `must be /${widest} to /${narrowest}, not /${prefix.length}`);
  }
  return prefix;
}

function readOui(section: Section): string | undefined {
  const text = section.text("vtep_mac_oui");
  if (text === undefined) return undefined;
  const oui = /^([0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}):00:00:00$/.exec(text.toLowerCase())?.[1];
  if (oui === undefined) {
    return section.problem("vtep_mac_oui", "must be three bytes and three zeros, such as 70:B3:D5:00:00:00");
  }
  // The lowest bit of the first byte marks group addresses, which no device can own (IEEE 802).
  if ((Number.parseInt(oui.slice(0, 2), 16) & 1) === 1) {
    return section.problem("vtep_mac_oui", "must not be a group address: make the first byte even");
  }
  return oui;
}

function readOverlays(section: Section): { overlays: Overlay[]; spaces: NamedPrefix[] } {
  const overlays: Overlay[] = [];
  const spaces: NamedPrefix[] = [];
  const owners = new Map<string, string>();
  const sections = section.sections("overlays", MOST_OVERLAYS) ?? [];
  if (section.has("overlays") && sections.length === 0) {
    section.problem("overlays", "must list at least one overlay; to take one out of use give it enabled: false");
  }
  for (const each of sections) {
    each.allow(OVERLAY_KEYS);
    const name = readName(each, owners);
    const v4 = readRange(each, "subnet", "prefix", 4);
    const v6 = readRange(each, "subnet6", "prefix6", 6);
    if (!each.has("subnet") && !each.has("subnet6")) each.problem("subnet", "or subnet6 is required");
    const enabled = each.flag("enabled") ?? true;
    const isolated = each.flag("isolated") ?? false;
    if (v4 !== undefined) spaces.push({ key: each.path("subnet"), prefix: v4.subnet });
    if (v6 !== undefined) spaces.push({ key: each.path("subnet6"), prefix: v6.subnet });
    if (name !== undefined) overlays.push({ name, v4, v6, isolated, enabled });
  }
  return { overlays, spaces };
}

/** `owners` says which name has taken a name or a bridge device. */
function readName(section: Section, owners: Map<string, string>): string | undefined {
  section.required("name");
  const name = section.text("name");
  if (name === undefined) return undefined;
  const problem = overlayNameProblem(name);
  if (problem !== undefined) return section.problem("name", `${JSON.stringify(name)} ${problem}`);
  const device = bridgeName("m", name);
  const owner = owners.get(device);
  if (owner === name) return section.problem("name", `"${name}" is used twice: rename one of them`);
  if (owner !== undefined) {
    return section.problem("name", `"${name}" and "${owner}" would share the bridge ${device}: rename one of them`);
  }
  owners.set(device, name);
  return name;
}

function readRange(section: Section, key: string, lengthKey: string, family: Family): OverlayRange | undefined {
  const subnet = section.network(key, family);
  const nodeLength = section.integer(lengthKey, 0, family === 4 ? 32 : 128);
  if (section.has(key) !== section.has(lengthKey)) {
    const [missing, present] = section.has(key) ? [lengthKey, key] : [key, lengthKey];
    return section.problem(missing, `is required beside ${present}`);
  }
  if (subnet === undefined || nodeLength === undefined) return undefined;
  const range = { subnet, nodeLength };
  for (const problem of rangeProblems(range)) section.problem(key, problem);
  return range;
}

function requireVtepSubnet6(section: Section, overlays: readonly Overlay[]): void {
  const names = overlays.filter(({ v6 }) => v6 !== undefined).map(({ name }) => name);
  if (names.length > 0 && !section.has("vtep_subnet6")) {
    section.problem("vtep_subnet6", `is required, because ${names.join(", ")} has IPv6 addresses`);
  }
}

function refusal(source: string, problems: readonly string[]): NetError {
  const distinct = [...new Set(problems)];
  const shown = distinct.slice(0, MOST_PROBLEMS_SHOWN);
  const more = distinct.length - shown.length;
  return new NetError("invalid", {
    tried: `use ${source}`,
    said: `${shown.join("; ")}${more > 0 ? `; and ${more} more problems` : ""}`,
    remedy: "correct the keys named; the present configuration stays in force",
  });
}
