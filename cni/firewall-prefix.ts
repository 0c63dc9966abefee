import { contains, formatPrefix, type Prefix } from "../lib/address.ts";

/** The prefix as part of a chain's name, where nft allows neither colon nor slash everywhere: `10.1.0.0-16`. */
export function prefixName(prefix: Prefix): string {
  return formatPrefix(prefix).replaceAll(":", "_").replace("/", "-");
}

/** The prefixes without those that another one covers. */
export function widest(prefixes: readonly Prefix[]): Prefix[] {
  return prefixes.filter(
    (prefix, index) => !prefixes.some((other, at) => at !== index && covers(other, prefix, at < index)),
  );
}

/** Of two equal prefixes the earlier covers the later. */
function covers(other: Prefix, prefix: Prefix, earlier: boolean): boolean {
  if (!contains(other, prefix.ip)) return false;
  return other.length < prefix.length || (other.length === prefix.length && earlier);
}
