/** Outer IPv4 (20), UDP (8), VXLAN (8) and inner Ethernet (14) headers: RFC 7348 section 5. */
const OVERHEAD_IPV4 = 50;
/** The same with an outer IPv6 header of 40 bytes. */
const OVERHEAD_IPV6 = 70;
/** What DC/OS gives containers everywhere: 1500 less room for VXLAN and for a cloud's own encapsulation. */
const FALLBACK = 1420;
/** Every IPv6 link must carry this (RFC 8200 section 5); the kernel takes IPv6 off a link below it. */
export const LEAST_MTU_IPV6 = 1280;
/** The least MTU that an overlay may have, bytes, as in DC/OS. */
export const LEAST_MTU = 552;
/** The largest, bytes: an IP packet can't be longer (RFC 791 section 3.1). */
export const LARGEST_MTU = 65_535;

export interface MtuInput {
  /** What the operator set; wins over everything. */
  readonly override: number | undefined;
  /** MTU of the link that carries the tunnel; undefined when the node's address is on none. */
  readonly link: number | undefined;
  /** Smallest known IP packet size of a path to a peer; undefined when nothing limits paths below the link. */
  readonly path: number | undefined;
  /** Family of the outer packets. */
  readonly underlay: 4 | 6;
}

export interface MtuChoice {
  /** Bytes of the largest IP packet in the overlay. */
  readonly mtu: number;
  /** The calculation in words, for status output and the log. */
  readonly reason: string;
}

/** The MTU for containers, bridges and tunnel device, so that a full-sized packet fits the path with its outer
 *  headers: the tunnel never fragments, and packets that don't fit vanish without notice where ICMP is filtered. */
export function overlayMtu({ override, link, path, underlay }: MtuInput): MtuChoice {
  if (override !== undefined) return { mtu: override, reason: `${override} as configured` };
  if (link === undefined) return { mtu: FALLBACK, reason: `${FALLBACK}, the default: no link has this node's address` };
  const overhead = underlay === 4 ? OVERHEAD_IPV4 : OVERHEAD_IPV6;
  const [limit, source] = path !== undefined && path < link ? [path, "path"] : [link, "link"];
  const fitting = limit - overhead;
  if (fitting < LEAST_MTU) {
    return { mtu: LEAST_MTU, reason: `${LEAST_MTU}, the least allowed: ${source} MTU ${limit} leaves only ${fitting}` };
  }
  return { mtu: fitting, reason: `${fitting} = ${source} MTU ${limit} - ${overhead} for VXLAN over IPv${underlay}` };
}
