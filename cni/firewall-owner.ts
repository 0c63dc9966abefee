/** Whose a firewall element is: one interface of one container on one network, CNI's unit of attachment. */
export interface Owner {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** nftables keeps at most 128 bytes of comment (libnftnl NFTNL_UDATA_COMMENT_MAXLEN). The shares leave the usual ids
 *  whole: 64 hexadecimal digits, or the 73 characters of a Mesos container inside another. Two blanks, two of these
 *  and 15 bytes of interface name are 128. */
const NETWORK_LIMIT = 36;
const CONTAINER_LIMIT = 75;
/** Hexadecimal digits of SHA-256 at the end of what had to be cut. */
const HASH_DIGITS = 16;

/** The owner in the comment of each of its elements, by which DEL, CHECK and GC find them without knowing any address:
 *  `network container interface`. Equal comments mean equal owners, for what doesn't fit is told apart by its hash. */
export function ownerComment(owner: Owner): string {
  const ifname = /^[\w.@-]+$/.test(owner.ifname) ? owner.ifname : digest(owner.ifname).slice(1);
  return `${networkComment(owner.network)}${shorten(owner.containerId, CONTAINER_LIMIT)} ${ifname}`;
}

/** How the comments of all owners on `network` begin, and no others. */
export function networkComment(network: string): string {
  return `${shorten(network, NETWORK_LIMIT)} `;
}

/** The owner in words, for the one who is refused: `container 6b9c… (eth0 on network dcos)`. */
export function describeHolder(comment: string | undefined): string {
  const [network, container, ifname] = (comment ?? "").split(" ");
  if (ifname === undefined) return `a firewall element that isn't ours (${comment ?? "without comment"})`;
  return `container ${container} (${ifname} on network ${network})`;
}

/** `text` if it is shorter than `limit`, else exactly `limit` characters of it that end in a hash of the whole. The
 *  two forms differ in length, so that no text can pass for the shortened form of another. */
export function shorten(text: string, limit: number): string {
  return text.length < limit ? text : `${text.slice(0, limit - HASH_DIGITS - 1)}.${digest(text)}`;
}

/** Sixteen hexadecimal digits that stand for a text. */
export function digest(text: string): string {
  return Bun.CryptoHasher.hash("sha256", text, "hex").slice(0, HASH_DIGITS);
}
