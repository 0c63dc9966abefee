import {
  contains,
  type Family,
  formatPrefix,
  type Ip,
  networkOf,
  overlaps,
  type Prefix,
  parsePrefix,
  widthOf,
} from "../lib/address.ts";
import type { Overlay, OverlayRange } from "./cluster.ts";

/** Linux device names have at most 15 bytes (IFNAMSIZ − 1); `m-` or `d-` takes two. */
const LONGEST_PLAIN_NAME = 13;
const LONGEST_NAME = 63;

/** Docker's and Mesos' own network names, refused by the reference too. */
const RESERVED: ReadonlySet<string> = new Set(["host", "bridge", "default", "none"]);

/** Address space in which unicast containers can't live. */
const UNUSABLE: readonly (readonly [Prefix, string])[] = [
  [parsePrefix("0.0.0.0/8"), '"this network" (RFC 1122)'],
  [parsePrefix("127.0.0.0/8"), "loopback (RFC 1122)"],
  [parsePrefix("169.254.0.0/16"), "link-local (RFC 3927)"],
  [parsePrefix("224.0.0.0/3"), "multicast and reserved (RFC 5771, RFC 1112)"],
  [parsePrefix("::/16"), "loopback, mapped and reserved (RFC 4291)"],
  [parsePrefix("fe80::/10"), "link-local (RFC 4291)"],
  [parsePrefix("ff00::/8"), "multicast (RFC 4291)"],
];

/** Why `name` can't be an overlay's name; undefined when it can. It becomes a file name, a CNI network name (CNI 1.1.0,
 *  section 1: alphanumeric first, then also `_`, `.`, `-`), a Docker network name and part of device names. */
export function overlayNameProblem(name: string): string | undefined {
  if (RESERVED.has(name)) return "is reserved by Docker or Mesos (host, bridge, default, none)";
  if (name.length > LONGEST_NAME) return `has ${name.length} characters, at most ${LONGEST_NAME} are allowed`;
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name))
    return "must be letters, digits, '_', '.', '-', the first a letter or digit";
  return undefined;
}

/** Device name of an overlay's bridge: `m-<name>` for Mesos and CNI, `d-<name>` for Docker, as the reference. A name
 *  that does not fit keeps its first five characters, followed by a dash and a hash of the whole in seven digits of
 *  base 36, so that it is the same on every node and at every start. */
export function bridgeName(kind: "m" | "d", overlay: string): string {
  if (overlay.length <= LONGEST_PLAIN_NAME) return `${kind}-${overlay}`;
  return `${kind}-${overlay.slice(0, 5)}-${fnv1a(overlay).toString(36).padStart(7, "0")}`;
}

/** The hardware address of a tunnel endpoint: three bytes of vendor prefix, then the low 24 bits of its IPv4 address
 *  (44.128.0.1 → 70:b3:d5:80:00:01), as the reference derives it. `oui` is `70:b3:d5`, lower case. */
export function vtepMac(oui: string, ip: Ip): string {
  const low = Number(ip.value & 0xffffffn);
  const bytes = [low >>> 16, (low >>> 8) & 0xff, low & 0xff];
  return [oui, ...bytes.map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/** Number of subnets of `length` in `subnet`. */
export function blockCount(subnet: Prefix, length: number): bigint {
  return length < subnet.length ? 0n : 1n << BigInt(length - subnet.length);
}

/** The `index`-th aligned subnet of `length`, counted from 0: block 256 of 9.0.0.0/8 in /24 is 9.1.0.0/24. Undefined
 *  past the last one. Plain arithmetic on the whole address, so it carries across bytes and works for lengths off
 *  byte borders. */
export function nthBlock(subnet: Prefix, length: number, index: number): Prefix | undefined {
  if (BigInt(index) >= blockCount(subnet, length)) return undefined;
  const { ip } = networkOf(subnet);
  const hostBits = BigInt(widthOf(ip.family) - length);
  return { ip: { family: ip.family, value: ip.value + (BigInt(index) << hostBits) }, length };
}

/** Why these addresses can't be an overlay's, in words that follow the name of the key; empty when they can. */
export function rangeProblems({ subnet, nodeLength }: OverlayRange): string[] {
  const problems: string[] = [];
  const longest = widthOf(subnet.ip.family) - 3;
  if (nodeLength < subnet.length) {
    problems.push(`has a node prefix /${nodeLength} wider than the overlay ${formatPrefix(subnet)}`);
  }
  if (nodeLength > longest) {
    problems.push(
      `has a node prefix /${nodeLength}, but each half of it must hold a gateway and a container: at most /${longest}`,
    );
  }
  const unusable = unusableProblem(subnet);
  if (unusable !== undefined) problems.push(unusable);
  return problems;
}

/** Why no unicast address can live in `subnet`; undefined when they can. */
export function unusableProblem(subnet: Prefix): string | undefined {
  const unusable = UNUSABLE.find(([space]) => overlaps(space, subnet));
  if (unusable === undefined) return undefined;
  return `${formatPrefix(subnet)} overlaps ${formatPrefix(unusable[0])}, ${unusable[1]}`;
}

/** A named address space that must not overlap any other. */
export interface NamedPrefix {
  /** Key in the configuration: `overlays[0].subnet`, `vtep_subnet`. */
  readonly key: string;
  readonly prefix: Prefix;
}

/** Sentences for each pair of spaces that share addresses. Sorted by first address, so only neighbours need comparing
 *  with the widest space that is still open: n log n. */
export function overlapProblems(spaces: readonly NamedPrefix[]): string[] {
  const problems: string[] = [];
  const sorted = [...spaces].sort(byFirstAddress);
  let open: NamedPrefix | undefined;
  for (const space of sorted) {
    if (open !== undefined && overlaps(open.prefix, space.prefix)) {
      const [one, other] = [space, open].map(({ key, prefix }) => `${key} ${formatPrefix(prefix)}`);
      problems.push(`${one} overlaps ${other}: give each its own addresses`);
    } else {
      open = space;
    }
  }
  return problems;
}

/** The overlay of these whose addresses include `ip`. */
export function overlayOf(overlays: readonly Overlay[], ip: Ip): Overlay | undefined {
  return overlays.find((overlay) => {
    const range = rangeOf(overlay, ip.family);
    return range !== undefined && contains(range.subnet, ip);
  });
}

/** An overlay's addresses of one family. */
export function rangeOf(overlay: Overlay, family: Family): OverlayRange | undefined {
  return family === 4 ? overlay.v4 : overlay.v6;
}

function byFirstAddress(a: NamedPrefix, b: NamedPrefix): number {
  const [left, right] = [networkOf(a.prefix), networkOf(b.prefix)];
  if (left.ip.family !== right.ip.family) return left.ip.family - right.ip.family;
  if (left.ip.value !== right.ip.value) return left.ip.value < right.ip.value ? -1 : 1;
  return left.length - right.length;
}

/** FNV-1a, 32 bits: small, and never changes between versions of anything. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
