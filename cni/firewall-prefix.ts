import { contains, type Family, formatPrefix, type Prefix } from "../lib/address.ts";

/** The prefix as part of a chain's name, where nft allows neither colon nor slash everywhere: `10.1.0.0-16`. */
export function prefixName(prefix: Prefix): string {
  return formatPrefix(prefix).replaceAll(":", "_").replace("/", "-");
}

/** The prefixes of one family as a set in braces; undefined when there is none. nft refuses sets with overlaps, so what another one
 *  covers is left out. */
export function prefixSet(prefixes: readonly Prefix[], family: Family): string | undefined {
  const own = prefixes.filter(({ ip }) => ip.family === family);
  const widest = own.filter(
    (prefix, index) => !own.some((other, at) => at !== index && covers(other, prefix, at < index)),
  );
  return widest.length === 0 ? undefined : `{ ${widest.map(formatPrefix).join(", ")} }`;
}

/** Of two equal prefixes the earlier covers the later. */
function covers(other: Prefix, prefix: Prefix, earlier: boolean): boolean {
  if (!contains(other, prefix.ip)) return false;
  return other.length < prefix.length || (other.length === prefix.length && earlier);
}
