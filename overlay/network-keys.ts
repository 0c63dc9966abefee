import type { Family, Prefix } from "../lib/address.ts";
import type { Overlay, OverlayRange } from "./cluster.ts";
import type { Section } from "./section.ts";
import { bridgeName, type NamedPrefix, overlayNameProblem, rangeProblems, unusableProblem } from "./subnet.ts";

const MOST_OVERLAYS = 64;
const OVERLAY_KEYS = ["name", "subnet", "prefix", "subnet6", "prefix6", "enabled", "isolated"] as const;

/** An overlay of a configuration, with the key that it stands under: `overlays[1]`. */
export interface Definition {
  readonly key: string;
  readonly overlay: Overlay;
}

/** The list `overlays` of DC/OS' `dcos_overlay_network`; undefined when the key is absent. Overlays whose name can't be
 *  used are reported and left out. */
export function readOverlays(file: Section): Definition[] | undefined {
  const names = new Map<string, string>();
  const devices = new Map<string, string>();
  return file.sections("overlays", MOST_OVERLAYS)?.flatMap((section) => {
    section.allow(OVERLAY_KEYS);
    const name = readName(section, names, devices);
    const v4 = readRange(section, "subnet", "prefix", 4);
    const v6 = readRange(section, "subnet6", "prefix6", 6);
    if (!section.has("subnet") && !section.has("subnet6")) section.problem("subnet", "or subnet6 is required");
    const enabled = section.flag("enabled") ?? true;
    const isolated = section.flag("isolated") ?? false;
    return name === undefined ? [] : [{ key: section.where, overlay: { name, v4, v6, isolated, enabled } }];
  });
}

/** The address spaces of overlays, with the keys that they stand under. */
export function overlaySpaces(definitions: readonly Definition[]): NamedPrefix[] {
  return definitions.flatMap(({ key, overlay: { v4, v6 } }) => [
    ...(v4 === undefined ? [] : [{ key: `${key}.subnet`, prefix: v4.subnet }]),
    ...(v6 === undefined ? [] : [{ key: `${key}.subnet6`, prefix: v6.subnet }]),
  ]);
}

/** A pool of tunnel endpoints: `vtep_subnet` or `vtep_subnet6`. */
export function readPool(file: Section, key: string, family: Family): Prefix | undefined {
  const prefix = file.network(key, family);
  if (prefix === undefined) return undefined;
  const unusable = unusableProblem(prefix);
  if (unusable !== undefined) file.problem(key, unusable);
  // The hardware address carries 24 bits of the IPv4 endpoint: a wider pool would give two nodes one hardware address.
  const [widest, narrowest] = family === 4 ? [8, 30] : [0, 126];
  if (prefix.length < widest || prefix.length > narrowest) {
    file.problem(key, `must be /${widest} to /${narrowest}, not /${prefix.length}`);
  }
  return prefix;
}

/** Vendor part of the tunnel endpoints' hardware addresses, lower case: `70:b3:d5`. */
export function readOui(file: Section): string | undefined {
  const text = file.text("vtep_mac_oui");
  if (text === undefined) return undefined;
  const oui = /^([0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}):00:00:00$/.exec(text.toLowerCase())?.[1];
  if (oui === undefined) {
    return file.problem("vtep_mac_oui", "must be three bytes and three zeros, such as 70:B3:D5:00:00:00");
  }
  // The lowest bit of the first byte marks group addresses, which no device can own (IEEE 802).
  if ((Number.parseInt(oui.slice(0, 2), 16) & 1) === 1) {
    return file.problem("vtep_mac_oui", "must not be a group address: make the first byte even");
  }
  return oui;
}

/** `names` and `devices` say which key has taken a name, and which name a bridge device. */
function readName(section: Section, names: Map<string, string>, devices: Map<string, string>): string | undefined {
  section.required("name");
  const name = section.text("name");
  if (name === undefined) return undefined;
  const problem = overlayNameProblem(name);
  if (problem !== undefined) return section.problem("name", `${JSON.stringify(name)} ${problem}`);
  const same = names.get(name);
  if (same !== undefined) return section.problem("name", `"${name}" is the name of ${same} already`);
  names.set(name, section.path("name"));
  const device = bridgeName("m", name);
  const other = devices.get(device);
  if (other !== undefined) {
    return section.problem("name", `"${name}" and "${other}" would share the bridge ${device}: choose another name`);
  }
  devices.set(device, name);
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
