import type { VipPool, VipPools } from "../../l4lb/address.ts";
import type { Family } from "../../lib/address.ts";
import { tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Config } from "../config.ts";

/** What the settings say of virtual IPs, read and checked. */
export interface VipSettings {
  readonly pools: VipPools;
  /** How long a drained task keeps its connections, milliseconds. */
  readonly drainMs: number;
}

/** Throws a NetError `invalid` that names the setting. */
export function vipSettings({ l4lb_pool: v4, l4lb_pool6: v6, l4lb_drain_ms: drainMs }: Config): VipSettings {
  return { pools: { 4: poolOf("l4lb_pool", v4, 4), 6: poolOf("l4lb_pool6", v6, 6) }, drainMs };
}

/** `<first address>-<last address>`; undefined for the empty text. */
function poolOf(setting: string, text: string, family: Family): VipPool | undefined {
  if (text === "") return undefined;
  const [min, max, ...rest] = text.split("-").map((part) => tryParseIp(part.trim()));
  const isPool = min?.family === family && max?.family === family && rest.length === 0 && min.value <= max.value;
  if (isPool) return { min, max };
  throw new NetError("invalid", {
    tried: `use the setting ${setting}`,
    said: `${JSON.stringify(text.slice(0, 100))} is no range of IPv${family} addresses`,
    remedy: `give one such as ${family === 4 ? "11.0.0.0-11.255.255.255" : "fd01:c::-fd01:c::ffff:ffff:ffff:ffff"}`,
  });
}
