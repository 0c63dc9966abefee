import {
  contains,
  type Family,
  firstOf,
  formatIp,
  formatPrefix,
  lastOf,
  offsetIp,
  type Prefix,
  parsePrefix,
  sizeOf,
} from "../lib/address.ts";
import { messageOf } from "../lib/error.ts";
import type { Cluster, ClusterNode, NodeSubnets, Overlay, OverlayRange, Vtep } from "./cluster.ts";
import { LARGEST_MTU, LEAST_MTU } from "./mtu.ts";
import { type Definition, overlaySpaces, readOui, readOverlays, readPool } from "./network-keys.ts";
import { isObject, refusal, Section } from "./section.ts";
import { blockCount, type NamedPrefix, nthBlock, overlapProblems, overlayOf, rangeOf, vtepMac } from "./subnet.ts";

/** A file of 4,000 nodes has about half a megabyte. */
const LONGEST_FILE = 16 * 1024 * 1024;
const MOST_NODES = 65_536;

const FILE_KEYS = [
  "vtep_subnet",
  "vtep_subnet6",
  "vtep_mac_oui",
  "vtep_mtu",
  "overlay_mtu",
  "vni",
  "port",
  "overlays",
  "nodes",
] as const;
const NODE_KEYS = ["name", "address", "address6", "index", "subnets", "subnets6", "path_mtu"] as const;

/** What DC/OS installs by default (its `dcos_overlay_network`), with the constants of its overlay module. */
const DEFAULTS = {
  vtepSubnet: parsePrefix("44.128.0.0/20"),
  vtepSubnet6: parsePrefix("fd01:a::/64"),
  oui: "70:b3:d5",
  vni: 1024,
  port: 64_000,
  overlays: [
    {
      name: "dcos",
      v4: { subnet: parsePrefix("9.0.0.0/8"), nodeLength: 24 },
      v6: undefined,
      isolated: false,
      enabled: true,
    },
    {
      name: "dcos6",
      v4: undefined,
      v6: { subnet: parsePrefix("fd01:b::/64"), nodeLength: 80 },
      isolated: false,
      enabled: true,
    },
  ] satisfies Overlay[],
} as const;

interface TunnelPool {
  readonly v4: Prefix;
  readonly v6: Prefix;
  readonly oui: string;
}

/**
 * Reads the static nodes file: JSON with the names of DC/OS' `dcos_overlay_network` and a list `nodes`; README.md
 * shows all keys.
 *
 * Addresses follow from a node's index: tunnel endpoint number index + 1 of the pool, and subnet number index of each
 * overlay, both as DC/OS hands them out. A node without `index` gets the lowest one that no node claims, in the order
 * of the file; `subnets` and `subnets6` fix single subnets. Nothing depends on the reading node, so all nodes that
 * read one file agree.
 *
 * Throws a NetError `invalid` that lists every problem with the key it is in; then nothing of the file counts.
 */
export function parseNodesFile(text: string, source = "nodes file"): Cluster {
  const problems: string[] = [];
  const file = new Section("", parseJson(text, source), problems);
  file.allow(FILE_KEYS);
  const pool = tunnelPool(file);
  const definitions = readOverlays(file) ?? defaultOverlays();
  problems.push(...overlapProblems(spacesOf(pool, definitions)));
  const overlays = definitions.map(({ overlay }) => overlay).filter(({ enabled }) => enabled);
  file.required("nodes");
  const sections = file.sections("nodes", MOST_NODES) ?? [];
  checkOverlayKeys(sections, definitions);
  const nodes = readNodes(sections, pool, overlays);
  const cluster: Cluster = {
    vni: file.integer("vni", 1, 0xffffff) ?? DEFAULTS.vni,
    port: file.integer("port", 1, 0xffff) ?? DEFAULTS.port,
    overlayMtu: file.integer("overlay_mtu", LEAST_MTU, LARGEST_MTU),
    vtepMtu: file.integer("vtep_mtu", LEAST_MTU, LARGEST_MTU),
    overlays,
    nodes,
  };
  if (problems.length > 0) throw refusal(source, problems);
  return cluster;
}

function parseJson(text: string, source: string): Readonly<Record<string, unknown>> {
  if (text.length > LONGEST_FILE) {
    throw refusal(source, [`has ${text.length} characters, at most ${LONGEST_FILE} are allowed`]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal(source, [`isn't JSON: ${messageOf(error)}`]);
  }
  if (!isObject(value)) throw refusal(source, ["must be a JSON object"]);
  return value;
}

function tunnelPool(file: Section): TunnelPool {
  return {
    v4: readPool(file, "vtep_subnet", 4) ?? DEFAULTS.vtepSubnet,
    v6: readPool(file, "vtep_subnet6", 6) ?? DEFAULTS.vtepSubnet6,
    oui: readOui(file) ?? DEFAULTS.oui,
  };
}

function defaultOverlays(): Definition[] {
  return DEFAULTS.overlays.map((overlay) => ({ key: `default overlay ${overlay.name}`, overlay }));
}

/** Every address space of the file. Disabled overlays count: enabling one later must not break the rest. */
function spacesOf(pool: TunnelPool, definitions: readonly Definition[]): NamedPrefix[] {
  return [
    { key: "vtep_subnet", prefix: pool.v4 },
    { key: "vtep_subnet6", prefix: pool.v6 },
    ...overlaySpaces(definitions),
  ];
}

function readNodes(sections: readonly Section[], pool: TunnelPool, overlays: readonly Overlay[]): ClusterNode[] {
  const indices = assignIndices(sections);
  const unique = new Uniqueness();
  for (const section of sections) section.allow(NODE_KEYS);
  const subnets = overlays.map((overlay) => assignSubnets(sections, indices, overlay));
  const nodes: ClusterNode[] = [];
  for (const [position, section] of sections.entries()) {
    const identity = readIdentity(section, unique, pool, overlays);
    const vtep = vtepAt(section, pool, indices[position] ?? 0);
    const own = new Map<string, NodeSubnets>();
    for (const [number, overlay] of overlays.entries()) {
      own.set(overlay.name, subnets[number]?.[position] ?? { v4: undefined, v6: undefined });
    }
    if (identity !== undefined && vtep !== undefined) nodes.push({ ...identity, vtep, subnets: own });
  }
  return nodes;
}

/** Remembers which value was used where, for the refusal of the second use. */
class Uniqueness {
  readonly #users = new Map<string, string>();

  claim(section: Section, key: string, value: string): void {
    const user = this.#users.get(value);
    if (user === undefined) this.#users.set(value, section.path(key));
    else section.problem(key, `${value} is used by ${user} already`);
  }
}

type Identity = Pick<ClusterNode, "name" | "address" | "address6" | "pathMtu">;

function readIdentity(
  section: Section,
  unique: Uniqueness,
  pool: TunnelPool,
  overlays: readonly Overlay[],
): Identity | undefined {
  section.required("name");
  section.required("address");
  const name = section.text("name");
  if (name !== undefined) {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$/.test(name)) {
      section.problem("name", "must be 1 to 253 letters, digits, '_', '.', '-', the first a letter or digit");
    }
    unique.claim(section, "name", name);
  }
  const address = section.ip("address", 4);
  const address6 = section.ip("address6", 6);
  for (const [key, ip] of [
    ["address", address],
    ["address6", address6],
  ] as const) {
    if (ip === undefined) continue;
    unique.claim(section, key, formatIp(ip));
    const overlay = overlayOf(overlays, ip);
    if (overlay !== undefined) section.problem(key, `${formatIp(ip)} lies inside overlay ${overlay.name}`);
    if (contains(pool.v4, ip) || contains(pool.v6, ip))
      section.problem(key, `${formatIp(ip)} lies inside the vtep subnet`);
  }
  const pathMtu = section.integer("path_mtu", LEAST_MTU, LARGEST_MTU);
  return name === undefined || address === undefined ? undefined : { name, address, address6, pathMtu };
}

/** Explicit indices first, then the lowest free one for each other node in file order. */
function assignIndices(sections: readonly Section[]): number[] {
  const owners = new Map<number, Section>();
  const explicit = sections.map((section) => section.integer("index", 0, 0xffffff));
  for (const [position, section] of sections.entries()) {
    const index = explicit[position];
    if (index === undefined) continue;
    const owner = owners.get(index);
    if (owner === undefined) owners.set(index, section);
    else section.problem("index", `${index} is that of ${owner.path("index")} already`);
  }
  let next = 0;
  return explicit.map((index) => {
    if (index !== undefined) return index;
    while (owners.has(next)) next += 1;
    next += 1;
    return next - 1;
  });
}

function vtepAt(section: Section, pool: TunnelPool, index: number): Vtep | undefined {
  const ip = offsetIp(firstOf(pool.v4), index + 1);
  const ip6 = offsetIp(firstOf(pool.v6), index + 1);
  // The last address of an IPv4 subnet is its broadcast address.
  if (ip === undefined || ip.value >= lastOf(pool.v4).value) {
    return section.problem("index", `${index} is past the last endpoint of vtep_subnet ${formatPrefix(pool.v4)}`);
  }
  if (ip6 === undefined || BigInt(index) + 1n >= sizeOf(pool.v6)) {
    return section.problem("index", `${index} is past the last endpoint of vtep_subnet6 ${formatPrefix(pool.v6)}`);
  }
  return {
    ip: { ip, length: pool.v4.length },
    ip6: { ip: ip6, length: pool.v6.length },
    mac: vtepMac(pool.oui, ip),
  };
}

/** Each node's part of one overlay, by position. */
function assignSubnets(sections: readonly Section[], indices: readonly number[], overlay: Overlay): NodeSubnets[] {
  const v4 = assignFamily(sections, indices, overlay, 4);
  const v6 = assignFamily(sections, indices, overlay, 6);
  return sections.map((_, position) => ({ v4: v4[position], v6: v6[position] }));
}

function assignFamily(
  sections: readonly Section[],
  indices: readonly number[],
  overlay: Overlay,
  family: Family,
): (Prefix | undefined)[] {
  const range = rangeOf(overlay, family);
  if (range === undefined) return [];
  const key = subnetsKey(family);
  const owners = new Map<string, Section>();
  return sections.map((section, position) => {
    const fixed = section.has(key) ? fixedSubnet(section, key, overlay.name, range) : undefined;
    const subnet = fixed ?? nthBlock(range.subnet, range.nodeLength, indices[position] ?? 0);
    if (subnet === undefined) {
      const count = blockCount(range.subnet, range.nodeLength);
      return section.problem(
        "index",
        `${indices[position]} is past the last of ${count} subnets of overlay ${overlay.name}`,
      );
    }
    const id = subnet.ip.value.toString(16);
    const owner = owners.get(id);
    if (owner !== undefined) {
      const where = `is that of ${owner.where} already: fix one of them by ${key}.${overlay.name} or index`;
      return section.problem(`${key}.${overlay.name}`, `${formatPrefix(subnet)} ${where}`);
    }
    owners.set(id, section);
    return subnet;
  });
}

function fixedSubnet(section: Section, key: string, overlay: string, range: OverlayRange): Prefix | undefined {
  const fixed = section.section(key);
  const subnet = fixed?.network(overlay, range.subnet.ip.family);
  if (fixed === undefined || subnet === undefined) return undefined;
  if (subnet.length !== range.nodeLength || !contains(range.subnet, subnet.ip)) {
    const wanted = `a /${range.nodeLength} of ${formatPrefix(range.subnet)}`;
    return fixed.problem(overlay, `must be ${wanted}, not ${formatPrefix(subnet)}`);
  }
  return subnet;
}

/** `subnets` and `subnets6` may name only overlays of the file that have that family; also disabled ones, so that
 *  switching an overlay off needs no other change. */
function checkOverlayKeys(sections: readonly Section[], definitions: readonly Definition[]): void {
  for (const family of [4, 6] as const) {
    const names = definitions.filter(({ overlay }) => rangeOf(overlay, family) !== undefined);
    for (const section of sections) {
      const key = subnetsKey(family);
      if (section.has(key)) section.section(key)?.allow(names.map(({ overlay }) => overlay.name));
    }
  }
}

function subnetsKey(family: Family): string {
  return family === 4 ? "subnets" : "subnets6";
}
