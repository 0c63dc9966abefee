import { type Endpoint, tryParseUpstream } from "../../dns/endpoint.ts";
import type { ForwardZone } from "../../dns/forward/route.ts";
import { isUnder, type Name, parseName } from "../../dns/name.ts";
import type { CustomAlias } from "../../dns/naming.ts";
import { formatIp, type Ip, type Prefix, prefixesBetween, tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Config, Key } from "../config.ts";
import { vipSettings } from "../l4lb/settings.ts";

/** Addresses of a list at most: a worker looks at each of its sockets in turn. */
const ADDRESSES_MOST = 15;
/** Below it operators may have names of their own, but not in these zones, which are made from facts. */
const ALIAS_ZONE = "thisdcos.directory";
const TAKEN_ZONES = ["l4lb", "mesos", "dcos", "thisnode"].map((label) => `${label}.${ALIAS_ZONE}`);

/** The settings of the DNS server, read and checked. */
export interface DnsSettings {
  /** Addresses that the agent puts on the device. */
  readonly addresses: readonly Ip[];
  /** All that are served. */
  readonly listen: readonly Endpoint[];
  /** Addresses whose queries aren't tracked. */
  readonly untracked: readonly Ip[];
  readonly workers: number;
  /** Who is asked about names that no other zone has; undefined: whom resolv.conf named before us. */
  readonly upstreams: readonly Endpoint[] | undefined;
  readonly forwardZones: readonly ForwardZone[];
  readonly custom: readonly CustomAlias[];
  /** Under which this node is reached from outside, canonical text. */
  readonly publicAddresses: readonly string[];
  /** Where virtual IPs have their addresses. */
  readonly vipRanges: readonly Prefix[];
  /** Label of the cluster's names below `dcos.directory`. */
  readonly clusterId: string | undefined;
  /** Domains for the host's search list. */
  readonly search: readonly Name[];
}

/** Throws a NetError `invalid` that names the setting. */
export function dnsSettings(config: Config): DnsSettings {
  const addresses = addressList(config, "dns_addresses");
  const further = addressList(config, "dns_listen");
  const listen = distinct([...addresses, ...further]).map((ip) => ({ ip, port: config.dns_port }));
  if (listen.length === 0 || listen.length > ADDRESSES_MOST) {
    const said = `dns_addresses and dns_listen name ${listen.length} addresses`;
    const remedy = `name 1 to ${ADDRESSES_MOST}`;
    throw new NetError("invalid", { tried: "start the DNS server", said, remedy });
  }
  const upstreams = wordsOf(config.dns_upstreams).map((word) => upstreamOf("dns_upstreams", word));
  return {
    addresses,
    listen,
    untracked: config.dns_notrack === "on" ? addresses : [],
    workers: config.dns_workers === 0 ? defaultWorkers() : config.dns_workers,
    upstreams: upstreams.length === 0 ? undefined : upstreams,
    forwardZones: config.dns_forward_zones.split(/\s+/).filter(Boolean).map(forwardZone),
    custom: wordsOf(config.dns_aliases).map(customAlias),
    publicAddresses: addressList(config, "dns_public_addresses").map(formatIp),
    vipRanges: Object.values(vipSettings(config).pools).flatMap((pool) =>
      pool === undefined ? [] : prefixesBetween(pool.min, pool.max),
    ),
    clusterId: config.dns_cluster_id === "" ? undefined : nameOf("dns_cluster_id", config.dns_cluster_id),
    search: wordsOf(config.dns_search).map((word) => nameOf("dns_search", word)),
  };
}

/** Where what stood in resolv.conf before us is kept. */
export function backupPath({ state_dir: dir }: Config): string {
  return `${dir}/resolv.conf.before`;
}

/** One for each processor but one, which is for the programs that ask. */
export function defaultWorkers(): number {
  return Math.min(8, Math.max(1, navigator.hardwareConcurrency - 1));
}

/** The words of a setting that are separated by commas or white space. */
function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** The IP addresses that a setting lists, each once. */
function addressList(config: Config, key: Key): Ip[] {
  const list = wordsOf(String(config[key])).map((word) => {
    const ip = tryParseIp(word);
    if (ip === undefined) throw refusal(key, word, "is no IP address", "give addresses separated by commas");
    return ip;
  });
  return distinct(list);
}

function distinct(list: readonly Ip[]): Ip[] {
  return [...new Map(list.map((ip) => [formatIp(ip), ip])).values()];
}

function upstreamOf(key: Key, word: string): Endpoint {
  const upstream = tryParseUpstream(word);
  if (upstream !== undefined) return upstream;
  throw refusal(key, word, "is no address with or without port", "give for example 10.0.0.53,[fd00::53]:5353");
}

function forwardZone(word: string): ForwardZone {
  const key = "dns_forward_zones";
  const [name = "", list = ""] = word.split(/=(.*)/s);
  const zone = parseName(name);
  const upstreams = list.split(",").filter(Boolean);
  if (zone !== undefined && upstreams.length > 0) {
    return { zone, upstreams: upstreams.map((upstream) => upstreamOf(key, upstream)) };
  }
  throw refusal(key, word, "is no zone with upstreams", "give for example corp.example=10.0.0.54,10.0.0.55");
}

function customAlias(word: string): CustomAlias {
  const key = "dns_aliases";
  const [left = "", right = ""] = word.split(/=(.*)/s);
  const [name, target] = [nameOf(key, left), nameOf(key, right)];
  const isOwn = isUnder(name, ALIAS_ZONE) && name !== ALIAS_ZONE && !TAKEN_ZONES.some((zone) => isUnder(name, zone));
  if (isOwn) return { name, target };
  const remedy = `give names below ${ALIAS_ZONE}, such as registry.component.${ALIAS_ZONE}`;
  throw refusal(key, left, "is no name that can be given away", remedy);
}

function nameOf(key: Key, word: string): Name {
  const name = parseName(word);
  if (name !== undefined && name !== "") return name;
  throw refusal(key, word, "is no name", "give names such as a.example");
}

function refusal(key: Key, word: string, problem: string, remedy: string): NetError {
  const said = `${JSON.stringify(word.slice(0, 100))} ${problem}`;
  return new NetError("invalid", { tried: `use the setting ${key}`, said, remedy });
}
