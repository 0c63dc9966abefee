import { formatPrefix, type Prefix, tryParsePrefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";

/** What a pool's id says, so that no table of pools has to be kept: Docker may ask about a pool years and many restarts
 *  after it was given out. */
export interface PoolName {
  readonly overlay: string;
  readonly pool: Prefix;
  /** `--ip-range`. */
  readonly sub: Prefix | undefined;
}

/** `dcos,9.0.1.128/25` or `dcos,9.0.1.128/25,9.0.1.192/26`. An overlay's name has no comma. */
export function formatPoolId({ overlay, pool, sub }: PoolName): string {
  return [overlay, formatPrefix(pool), ...(sub === undefined ? [] : [formatPrefix(sub)])].join(",");
}

/** Throws `invalid` for an id that {@link formatPoolId} can't have made. */
export function parsePoolId(id: string): PoolName {
  const [overlay = "", pool = "", sub, ...rest] = id.split(",");
  const prefix = tryParsePrefix(pool);
  const part = sub === undefined ? undefined : tryParsePrefix(sub);
  if (/^[\w-]+$/.test(overlay) && prefix !== undefined && (sub === undefined) === (part === undefined) && !rest.length)
    return { overlay, pool: prefix, sub: part };
  throw new NetError("invalid", {
    tried: `read pool id ${JSON.stringify(id)}`,
    said: "it isn't one of this driver's, such as dcos,9.0.1.128/25",
  });
}
