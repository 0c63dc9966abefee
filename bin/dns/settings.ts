import { parseName } from "../../dns/name.ts";
import type { Endpoint } from "../../dns/server.ts";
import { formatIp, type Ip, tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Config, Key } from "../config.ts";

/** Addresses of a list at most: a worker looks at each of its sockets in turn. */
const ADDRESSES_MOST = 15;

/** The settings of the DNS server, read and checked. */
export interface DnsSettings {
  /** Addresses that the agent puts on the device. */
  readonly addresses: readonly Ip[];
  /** All that are served. */
  readonly listen: readonly Endpoint[];
  /** Addresses whose queries aren't tracked. */
  readonly untracked: readonly Ip[];
  readonly workers: number;
  /** Domains for the host's search list. */
  readonly search: readonly string[];
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
  return {
    addresses,
    listen,
    untracked: config.dns_notrack === "on" ? addresses : [],
    workers: config.dns_workers === 0 ? defaultWorkers() : config.dns_workers,
    search: searchList(config),
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
export function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

function searchList({ dns_search: text }: Config): string[] {
  return wordsOf(text).map((word) => {
    const name = parseName(word);
    if (name !== undefined && name !== "") return name;
    const said = `${JSON.stringify(word.slice(0, 60))} is no domain`;
    throw new NetError("invalid", { tried: "use the setting dns_search", said });
  });
}

/** The IP addresses that a setting lists, each once. Throws a NetError `invalid` that names setting and word. */
function addressList(config: Config, key: Key): Ip[] {
  const list = wordsOf(String(config[key])).map((word) => {
    const ip = tryParseIp(word);
    if (ip !== undefined) return ip;
    const remedy = "give addresses separated by commas";
    const said = `${JSON.stringify(word.slice(0, 60))} is no IP address`;
    throw new NetError("invalid", { tried: `use the setting ${key}`, said, remedy });
  });
  return distinct(list);
}

function distinct(list: readonly Ip[]): Ip[] {
  return [...new Map(list.map((ip) => [formatIp(ip), ip])).values()];
}

/** `198.51.100.1:53`, `[fd01:d::c633:6401]:53`. */
export function endpointText({ ip, port }: Endpoint): string {
  return ip.family === 4 ? `${formatIp(ip)}:${port}` : `[${formatIp(ip)}]:${port}`;
}
