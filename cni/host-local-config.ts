import { completeRangeSets, type RangeConfig, type RangeSet } from "../ipam/range.ts";
import type { Ip } from "../lib/address.ts";
import { fromCString } from "../lib/bytes.ts";
import type { Files } from "../lib/files.ts";
import { parseArguments } from "./arguments.ts";
import {
  asIp,
  asIpOrPrefix,
  asPrefix,
  asSection,
  asText,
  type Decode,
  listOf,
  optional,
  required,
  type Section,
  unexpected,
} from "./config.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import { asRange, asRangeSet, readMesosNetworkInfo, readRuntimeRequest } from "./request.ts";
import type { ResultDns, ResultRoute } from "./result.ts";
import { type CniVersion, isAtLeast } from "./version.ts";

/** What the `ipam` object asks of host-local, complete with what the runtime wishes for the container. */
export interface HostLocalConfig {
  readonly dataDir: string;
  readonly sets: readonly RangeSet[];
  readonly routes: readonly ResultRoute[];
  /** Path of a resolv.conf that becomes the result's `dns`. */
  readonly resolvConf: string | undefined;
  /** Addresses asked for: CNI_ARGS, `args.cni.ips`, `runtimeConfig.ips`, Mesos' `ip_addresses`. */
  readonly requested: readonly Ip[];
}

/** The reference's default for leases. */
const DEFAULT_DATA_DIR = "/var/lib/cni/networks";

/** Reads the whole `ipam` object of `config`; throws `invalid` or a CniError with nothing changed. `args` is
 *  CNI_ARGS. */
export function readHostLocalConfig(config: Section, version: CniVersion, args: string): HostLocalConfig {
  const ipam = required(config, "ipam", asSection);
  const request = readRuntimeRequest(config);
  const inline = inlineRange(ipam);
  const sets = completeRangeSets([
    ...request.ipRanges,
    ...(inline === undefined ? [] : [[inline]]),
    ...listOf(ipam, "ranges", asRangeSet),
  ]);
  refuseSecondOfFamily(sets, version);
  return {
    dataDir: readDataDir(ipam),
    sets,
    routes: listOf(ipam, "routes", asRoute),
    resolvConf: optional(ipam, "resolvConf", asText),
    requested: [...argumentIps(args), ...request.ips, ...(readMesosNetworkInfo(config)?.ips ?? [])],
  };
}

/** Where the leases of a configuration lie: all that DEL and GC need of it. A range that is no longer valid must not
 *  keep an address from being given back. */
export function readDataDir(ipam: Section): string {
  return optional(ipam, "dataDir", asDirectory) ?? DEFAULT_DATA_DIR;
}

const asDirectory: Decode<string> = (value, at) => {
  const path = asText(value, at);
  if (!path.startsWith("/") || path.includes("\0") || path.length > 3000)
    throw unexpected(value, at, "an absolute path");
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
};

/** One range may stand in the `ipam` object itself, as in configurations older than `ranges`. */
function inlineRange(ipam: Section): RangeConfig | undefined {
  return optional(ipam, "subnet", asText) === undefined ? undefined : asRange(ipam.fields, ipam.at);
}

/** Results before 0.3.0 have room for one address of each family. */
function refuseSecondOfFamily(sets: readonly RangeSet[], version: CniVersion): void {
  if (isAtLeast(version, "0.3.0")) return;
  for (const family of [4, 6]) {
    if (sets.filter(([range]) => range.subnet.ip.family === family).length < 2) continue;
    throw new CniError(
      CNI_ERROR.invalidConfig,
      `CNI version ${version} does not support more than 1 address per family`,
    );
  }
}

function argumentIps(args: string): readonly Ip[] {
  const ip = parseArguments(args, ["IP", "MAC", "GATEWAY"]).get("IP");
  if (ip === undefined || ip === "") return [];
  return ip.split(",").map((text) => asIpOrPrefix(text, "CNI_ARGS IP"));
}

/** Decodes a route of the configuration, which has the form of a route of the result. */
export const asRoute: Decode<ResultRoute> = (value, at) => {
  const route = asSection(value, at);
  const gw = optional(route, "gw", asIp);
  return { dst: required(route, "dst", asPrefix), ...(gw === undefined ? {} : { gw }), ...routeLimits(route) };
};

function routeLimits(route: Section): Partial<ResultRoute> {
  const read = (key: "mtu" | "advmss" | "priority" | "table" | "scope") => {
    const value = optional(route, key, asCount);
    return value === undefined ? {} : { [key]: value };
  };
  return { ...read("mtu"), ...read("advmss"), ...read("priority"), ...read("table"), ...read("scope") };
}

const asCount: Decode<number> = (value, at) => {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value;
  throw unexpected(value, at, "a whole number from 0 to 4294967295");
};

/** Largest resolv.conf read, bytes. */
const RESOLV_CONF_LIMIT = 64 << 10;

/** Reads a resolv.conf as the reference does (resolv.conf(5)): `nameserver`, `domain`, `search`, `options`; the rest is
 *  ignored. Throws code 7 when the file is missing. */
export function readResolvConf(files: Files, path: string): ResultDns {
  const bytes = files.read(path, RESOLV_CONF_LIMIT);
  if (bytes === undefined)
    throw new CniError(CNI_ERROR.invalidConfig, `ipam.resolvConf: open ${path}: no such file or directory`);
  const words = fromCString(bytes)
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([key]) => key !== undefined && !/^[#;]/.test(key));
  const all = (key: string) => words.filter(([word]) => word === key).flatMap(([, ...values]) => values);
  const domain = all("domain").at(-1);
  return {
    nameservers: words.flatMap(([key, value]) => (key === "nameserver" && value !== undefined ? [value] : [])),
    search: all("search"),
    options: all("options"),
    ...(domain === undefined ? {} : { domain }),
  };
}
