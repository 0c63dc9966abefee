import { formatIp, formatPrefix, type Ip, type Prefix } from "../lib/address.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import { type CniVersion, isAtLeast } from "./version.ts";

/** What an ADD made, in the form of specification 1.1.0, of which every older form is a part. */
export interface Result {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultIp[];
  readonly routes: readonly ResultRoute[];
  readonly dns: ResultDns;
}

/** An interface that the ADD made or moved. */
export interface ResultInterface {
  readonly name: string;
  readonly mac?: string | undefined;
  /** Bytes. */
  readonly mtu?: number | undefined;
  /** CNI_NETNS for an interface inside the container; absent for one on the host. */
  readonly sandbox?: string | undefined;
  readonly socketPath?: string | undefined;
  readonly pciID?: string | undefined;
}

/** An address given to the container. */
export interface ResultIp {
  /** Address with the prefix length of its subnet. */
  readonly address: Prefix;
  readonly gateway?: Ip | undefined;
  /** Index into `interfaces`; absent in results of IPAM plugins. */
  readonly interface?: number | undefined;
}

/** A route set in the container. */
export interface ResultRoute {
  readonly dst: Prefix;
  readonly gw?: Ip | undefined;
  /** Bytes. */
  readonly mtu?: number | undefined;
  /** Bytes. */
  readonly advmss?: number | undefined;
  readonly priority?: number | undefined;
  readonly table?: number | undefined;
  /** rtnetlink's number: 0 global, 253 link, 254 host. */
  readonly scope?: number | undefined;
}

/** What the container should know of DNS, as resolv.conf(5) has it. */
export interface ResultDns {
  readonly nameservers?: readonly string[] | undefined;
  readonly domain?: string | undefined;
  readonly search?: readonly string[] | undefined;
  readonly options?: readonly string[] | undefined;
}

/** A result that says nothing: where plugins start from. */
export const EMPTY_RESULT: Result = { interfaces: [], ips: [], routes: [], dns: {} };

/** Throws code 7 when a result with these addresses has no form in `version`: before 0.3.0 there must be an address.
 *  Plugins call it as soon as they know their addresses, before they touch the kernel; the reference notices only
 *  after it has made the interface. */
export function checkConvertible(version: CniVersion, ips: readonly unknown[]): void {
  if (ips.length > 0 || isAtLeast(version, "0.3.0")) return;
  throw new CniError(
    CNI_ERROR.invalidConfig,
    "cannot convert: no valid IP addresses",
    `results of version ${version} need an address; give an ipam section or a cniVersion of at least 0.3.0`,
  );
}

/** The result as the JSON document that a configuration of `version` gets: four spaces of indentation and no final
 *  newline, as the reference prints. Down to 0.2.0 only the first address of each family survives, each with the
 *  routes of its family. Throws as {@link checkConvertible}. */
export function formatResult(result: Result, version: CniVersion): string {
  checkConvertible(version, result.ips);
  const document = isAtLeast(version, "0.3.0") ? listForm(result, version) : familyForm(result, version);
  return JSON.stringify(document, null, 4);
}

/** Specification 0.3.0 and later. Members that are undefined are not printed. */
function listForm(result: Result, version: CniVersion): object {
  const extended = isAtLeast(version, "1.1.0");
  const legacy = !isAtLeast(version, "1.0.0");
  return {
    cniVersion: version,
    interfaces: filled(result.interfaces.map((link) => formatInterface(link, extended))),
    ips: filled(result.ips.map((ip) => formatAddress(ip, legacy))),
    routes: filled(result.routes.map(formatRoute)),
    dns: formatDns(result.dns, legacy),
  };
}

function formatInterface(link: ResultInterface, extended: boolean): object {
  const { name, mac, mtu, sandbox, socketPath, pciID } = link;
  return extended ? { name, mac, mtu, sandbox, socketPath, pciID } : { name, mac, sandbox };
}

function formatAddress({ address, gateway, interface: index }: ResultIp, legacy: boolean): object {
  const version = legacy ? String(address.ip.family) : undefined;
  return { version, interface: index, address: formatPrefix(address), gateway: gateway && formatIp(gateway) };
}

function formatRoute({ dst, gw, mtu, advmss, priority, table, scope }: ResultRoute): object {
  return { dst: formatPrefix(dst), gw: gw && formatIp(gw), mtu, advmss, priority, table, scope };
}

/** Specification 0.1.0 and 0.2.0, which differ only in the version that is printed. */
function familyForm(result: Result, version: CniVersion): object {
  return {
    cniVersion: version,
    ip4: formatFamily(result, 4),
    ip6: formatFamily(result, 6),
    dns: formatDns(result.dns, true),
  };
}

function formatFamily(result: Result, family: 4 | 6): object | undefined {
  const ip = result.ips.find(({ address }) => address.ip.family === family);
  if (ip === undefined) return undefined;
  const routes = result.routes.filter(({ dst }) => dst.ip.family === family);
  return {
    ip: formatPrefix(ip.address),
    gateway: ip.gateway && formatIp(ip.gateway),
    routes: filled(routes.map(({ dst, gw }) => formatRoute({ dst, gw }))),
  };
}

/** An empty object is printed up to 0.4.0, where the schema had it as mandatory, and left out later. */
function formatDns(
  { nameservers = [], domain, search = [], options = [] }: ResultDns,
  always: boolean,
): object | undefined {
  const lists = [nameservers, search, options];
  if (!always && domain === undefined && lists.every((list) => list.length === 0)) return undefined;
  return { nameservers: filled(nameservers), domain, search: filled(search), options: filled(options) };
}

function filled<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
