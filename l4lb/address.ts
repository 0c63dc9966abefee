import type { Family, Ip } from "../lib/address.ts";
import { lookup2 } from "./hash.ts";

/** The addresses that named virtual IPs of one family get, `min` to `max`, both included. */
export interface VipPool {
  readonly min: Ip;
  readonly max: Ip;
}

/** Where the reference begins to look for the address of a name (dcos_l4lb_lashup_vip_listener:init_ip/3): the hash of
 *  the name modulo the size less one, so that the last address is only reached by looking further. IPv4: lookup2;
 *  IPv6: SHA-1 as a number of 160 bits. */
export function firstAddress(name: string, { min, max }: VipPool): Ip {
  const spread = max.value - min.value;
  const hash = min.family === 4 ? BigInt(lookup2(name)) : sha1(name);
  return { family: min.family, value: spread === 0n ? min.value : min.value + (hash % spread) };
}

/** The address after one of the pool; after the last comes the first. */
export function nextAddress({ family, value }: Ip, { min, max }: VipPool): Ip {
  return { family, value: value === max.value ? min.value : value + 1n };
}

export function poolHas({ min, max }: VipPool, { family, value }: Ip): boolean {
  return family === min.family && value >= min.value && value <= max.value;
}

/** Number of addresses. */
export function poolSize({ min, max }: VipPool): bigint {
  return max.value - min.value + 1n;
}

/** One pool for each family; no names get addresses of a family without one. */
export type VipPools = Readonly<Record<Family, VipPool | undefined>>;

function sha1(text: string): bigint {
  return BigInt(`0x${new Bun.CryptoHasher("sha1").update(text).digest("hex")}`);
}
