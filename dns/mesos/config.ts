import { formatIp, tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { tryParseUpstream } from "../endpoint.ts";
import type { LabelMode } from "../label.ts";
import { parseName } from "../name.ts";

export type IpSource = "host" | "docker" | "mesos" | "netinfo";

/** Mesos-DNS's configuration with its own names of keys, in the order in which /v1/config shows them. */
export interface MesosDnsConfig {
  readonly RefreshSeconds: number;
  readonly Port: number;
  readonly Timeout: number;
  readonly StateTimeoutSeconds: number;
  readonly ZkDetectionTimeout: number;
  readonly HttpPort: number;
  readonly TTL: number;
  readonly SRVRecordDefaultWeight: number;
  readonly SOASerial: number;
  readonly SOARefresh: number;
  readonly SOARetry: number;
  readonly SOAExpire: number;
  readonly SOAMinttl: number;
  readonly SOAMname: string;
  readonly SOARname: string;
  readonly Masters: readonly string[] | null;
  readonly ZoneResolvers: Readonly<Record<string, readonly string[]>>;
  readonly Resolvers: readonly string[];
  readonly IPSources: readonly IpSource[];
  readonly Zk: string;
  readonly Domain: string;
  readonly File: string;
  readonly Listener: string;
  readonly HTTPListener: string;
  readonly RecurseOn: boolean;
  readonly DnsOn: boolean;
  readonly HttpOn: boolean;
  readonly ExternalOn: boolean;
  readonly EnforceRFC952: boolean;
  readonly SetTruncateBit: boolean;
  readonly EnumerationOn: boolean;
  readonly MesosHTTPSOn: boolean;
  readonly CACertFile: string;
  readonly CertFile: string;
  readonly KeyFile: string;
  readonly MesosCredentials: { readonly Principal: string; readonly Secret: string };
  readonly IAMConfigFile: string;
  readonly MesosAuthentication: string;
}

/** Defaults of records/config.go. */
const DEFAULTS: MesosDnsConfig = {
  RefreshSeconds: 60,
  Port: 53,
  Timeout: 5,
  StateTimeoutSeconds: 300,
  ZkDetectionTimeout: 30,
  HttpPort: 8123,
  TTL: 60,
  SRVRecordDefaultWeight: 1,
  SOASerial: 0,
  SOARefresh: 60,
  SOARetry: 600,
  SOAExpire: 86_400,
  SOAMinttl: 60,
  SOAMname: "ns1.mesos",
  SOARname: "root.ns1.mesos",
  Masters: null,
  ZoneResolvers: {},
  Resolvers: ["8.8.8.8"],
  IPSources: ["netinfo", "mesos", "host"],
  Zk: "",
  Domain: "mesos",
  File: "",
  Listener: "0.0.0.0",
  HTTPListener: "0.0.0.0",
  RecurseOn: true,
  DnsOn: true,
  HttpOn: true,
  ExternalOn: true,
  EnforceRFC952: false,
  SetTruncateBit: true,
  EnumerationOn: true,
  MesosHTTPSOn: false,
  CACertFile: "",
  CertFile: "",
  KeyFile: "",
  MesosCredentials: { Principal: "", Secret: "" },
  IAMConfigFile: "",
  MesosAuthentication: "",
};

/** Values that a number may have; one that isn't here may have any of 32 bits. */
const BOUNDS: Readonly<Record<string, readonly [number, number]>> = {
  RefreshSeconds: [1, 86_400],
  Port: [1, 65_535],
  HttpPort: [1, 65_535],
  StateTimeoutSeconds: [1, 86_400],
  TTL: [0, 2 ** 31 - 1],
  SRVRecordDefaultWeight: [0, 65_535],
  Timeout: [0, 3600],
};

const SOURCES: readonly string[] = ["host", "docker", "mesos", "netinfo"];

/** Reads the content of Mesos-DNS's configuration file as Mesos-DNS does: keys in any case, unknown ones ignored.
 *  Throws a NetError `invalid` that lists every problem. `start` is the serial of the SOA record, seconds since 1970. */
export function readMesosDnsConfig(text: string, file: string, start: number): MesosDnsConfig {
  const problems: string[] = [];
  const given = parseObject(text, problems);
  const config = Object.fromEntries(
    Object.entries(DEFAULTS).map(([key, fallback]) => [
      key,
      acceptedOf(key, given.get(key.toLowerCase()), fallback, problems),
    ]),
  ) as unknown as MesosDnsConfig;
  problems.push(...faultsOf(config));
  if (problems.length > 0) {
    const remedy = "see Mesos-DNS's description of its configuration parameters";
    throw new NetError("invalid", { tried: `use ${file}`, said: problems.join("; "), remedy });
  }
  return {
    ...config,
    Domain: config.Domain.toLowerCase(),
    SOASerial: config.SOASerial === 0 ? start : config.SOASerial,
    SOAMname: absolute(config.SOAMname),
    SOARname: absolute(config.SOARname.replace("@", ".")),
    Timeout: config.Timeout === 0 ? 5 : config.Timeout,
  };
}

/** What /v1/config shows: everything but the secret. */
export function shownConfig(config: MesosDnsConfig): MesosDnsConfig {
  return { ...config, MesosCredentials: { Principal: config.MesosCredentials.Principal, Secret: "" } };
}

export function labelModeOf({ EnforceRFC952 }: MesosDnsConfig): LabelMode {
  return EnforceRFC952 ? "rfc952" : "rfc1123";
}

/** `10.0.0.1:5050`, `[fd01::1]:5050` or `master-1:5050`, taken apart; undefined when it isn't one. */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, six, other, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? other;
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

function parseObject(text: string, problems: string[]): Map<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return new Map(Object.entries(value).map(([key, each]) => [key.toLowerCase(), each]));
    }
    problems.push("it is not a JSON object");
  } catch (error) {
    problems.push(String(error));
  }
  return new Map();
}

function acceptedOf(key: string, value: unknown, fallback: unknown, problems: string[]): unknown {
  if (value === undefined || value === null) return fallback;
  const accepted = accept(key, value, fallback);
  if (accepted === undefined) problems.push(`${key} can't be ${JSON.stringify(value)?.slice(0, 100)}`);
  return accepted ?? fallback;
}

function accept(key: string, value: unknown, fallback: unknown): unknown {
  if (typeof fallback === "number") {
    const [least, most] = BOUNDS[key] ?? [0, 2 ** 32 - 1];
    const fits = typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
    return fits ? value : undefined;
  }
  if (key === "ZoneResolvers") return isRecord(value) && Object.values(value).every(isTexts) ? value : undefined;
  if (key === "MesosCredentials") return credentials(value);
  if (Array.isArray(fallback) || key === "Masters") return isTexts(value) ? value : undefined;
  return typeof value === typeof fallback ? value : undefined;
}

function credentials(value: unknown): MesosDnsConfig["MesosCredentials"] | undefined {
  if (!isRecord(value)) return undefined;
  const of = (name: string): unknown => Object.entries(value).find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
  const [principal, secret] = [of("principal"), of("secret")];
  if (typeof principal !== "string" || typeof secret !== "string") return undefined;
  return { Principal: principal, Secret: secret };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

/** What fits each by itself and still can't be. */
function faultsOf(config: MesosDnsConfig): string[] {
  const { Masters, Zk, Domain, Resolvers, IPSources, DnsOn, HttpOn, ZoneResolvers } = config;
  const faults: string[] = [];
  const check = (good: boolean, fault: string): void => {
    if (!good) faults.push(fault);
  };
  check(Zk !== "" || (Masters ?? []).length > 0, "neither Zk nor Masters is given");
  for (const master of Masters ?? []) check(parseHostPort(master) !== undefined, `${master} is not <host>:<port>`);
  check(isUnique((Masters ?? []).map(normal)), "Masters has one twice");
  check(/^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(Domain) && parseName(Domain) !== undefined, `Domain is ${Domain}`);
  const resolvers = [...Resolvers, ...Object.values(ZoneResolvers).flat()];
  for (const resolver of resolvers)
    check(tryParseUpstream(resolver) !== undefined, `resolver ${resolver} is no address`);
  check(isUnique(Resolvers), "Resolvers has one twice");
  check(IPSources.length > 0 && isUnique(IPSources), "IPSources is empty or has one twice");
  for (const source of IPSources) check(SOURCES.includes(source), `IPSources has ${source}`);
  check(DnsOn || HttpOn, "both DnsOn and HttpOn are false");
  for (const [zone, list] of Object.entries(ZoneResolvers)) {
    check(parseName(zone) !== undefined && list.length > 0, `ZoneResolvers has no resolver for ${zone}`);
    check(zone.toLowerCase() !== Domain.toLowerCase(), `ZoneResolvers has the domain ${zone} itself`);
  }
  for (const address of [config.Listener, config.HTTPListener])
    check(tryParseIp(address) !== undefined, `${address} is no address to listen on`);
  check(
    ["", "basic"].includes(config.MesosAuthentication),
    `MesosAuthentication ${config.MesosAuthentication} is unknown`,
  );
  return faults;
}

function isUnique(list: readonly string[]): boolean {
  return new Set(list).size === list.length;
}

function normal(master: string): string {
  const { host, port } = parseHostPort(master) ?? { host: master, port: 0 };
  const ip = tryParseIp(host);
  return `${ip === undefined ? host.toLowerCase() : formatIp(ip)} ${port}`;
}

function absolute(name: string): string {
  return `${name.toLowerCase().replace(/\.+$/, "")}.`;
}
