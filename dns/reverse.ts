import { type Ip, ipBytes, type Prefix, parseIp } from "../lib/address.ts";
import { toHex } from "../lib/bytes.ts";
import type { Name } from "./name.ts";

/** The name under which the name of an address is found: `5.2.0.9.in-addr.arpa` (RFC 1035 section 3.5), or nibbles
 *  under `ip6.arpa` (RFC 3596 section 2.5). */
export function reverseName(address: string): Name {
  return reverseLabels(parseIp(address), 128);
}

/** The zones in which all addresses of a prefix have their names: one where the prefix ends at a label, else one for
 *  each value of the label in which it ends (`9.0.0.0/15` → two). */
export function reverseZones({ ip, length }: Prefix): Name[] {
  const [bits, width] = ip.family === 4 ? [8, 32] : [4, 128];
  const labels = Math.max(1, Math.ceil(length / bits));
  const count = 2 ** Math.max(0, labels * bits - length);
  const first = (ip.value >> BigInt(width - length)) << BigInt(width - length);
  return Array.from({ length: count }, (_, index) => {
    const value = first + (BigInt(index) << BigInt(width - labels * bits));
    return reverseLabels({ family: ip.family, value }, labels);
  });
}

/** The first `count` labels of an address, least significant first. */
function reverseLabels(ip: Ip, count: number): Name {
  const bytes = ipBytes(ip);
  const [labels, suffix] = ip.family === 4 ? [[...bytes].map(String), "in-addr.arpa"] : [[...toHex(bytes)], "ip6.arpa"];
  return [...labels.slice(0, count).reverse(), suffix].join(".");
}
