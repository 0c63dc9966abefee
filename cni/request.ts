import type { RangeConfig } from "../ipam/range.ts";
import type { Ip, Prefix } from "../lib/address.ts";
import {
  arrayOf,
  asInteger,
  asIp,
  asIpOrPrefix,
  asMac,
  asPrefix,
  asSection,
  asText,
  asWord,
  child,
  type Decode,
  field,
  listOf,
  optional,
  required,
  type Section,
} from "./config.ts";

/** One host port that leads to a container. */
export interface PortMapping {
  /** 1 … 65535. */
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** The host address that listens; all of them when absent. The unspecified address stands for all of its family. */
  readonly hostIp?: Ip;
}

/** What the runtime wishes for this one container: the specification's conventions `runtimeConfig` and `args.cni`. */
export interface RuntimeRequest {
  readonly portMappings: readonly PortMapping[];
  /** Wanted addresses of `args.cni.ips`, then of `runtimeConfig.ips`; prefix lengths are dropped. */
  readonly ips: readonly Ip[];
  /** Range sets that come before those of the configuration. */
  readonly ipRanges: readonly (readonly RangeConfig[])[];
  /** `runtimeConfig.mac`, else `args.cni.mac`. */
  readonly mac: string | undefined;
}

/** `args."org.apache.mesos".network_info`: mesos.proto NetworkInfo as JSON, as Mesos hands it to every plugin. */
export interface MesosNetworkInfo {
  readonly name: string | undefined;
  readonly groups: readonly string[];
  readonly labels: readonly { readonly key: string; readonly value: string | undefined }[];
  readonly portMappings: readonly PortMapping[];
  /** Addresses that the framework asked for; entries that only name a protocol are left out, for they ask for
   *  nothing. */
  readonly ips: readonly Ip[];
}

const NO_REQUEST: RuntimeRequest = { portMappings: [], ips: [], ipRanges: [], mac: undefined };
const asPort = asInteger(1, 65535);
const asProtocol = asWord(["tcp", "udp", "sctp"]);

/** Reads `runtimeConfig` and `args.cni`; everything is empty when neither is there. Throws `invalid`. */
export function readRuntimeRequest(config: Section): RuntimeRequest {
  if (field(config, "runtimeConfig") === undefined && field(config, "args") === undefined) return NO_REQUEST;
  const runtime = child(config, "runtimeConfig");
  const args = child(child(config, "args"), "cni");
  return {
    portMappings: listOf(runtime, "portMappings", asPortMapping("hostPort", "containerPort")),
    ips: [...listOf(args, "ips", asIpOrPrefix), ...listOf(runtime, "ips", asIpOrPrefix)],
    ipRanges: listOf(runtime, "ipRanges", asRangeSet),
    mac: optional(runtime, "mac", asMac) ?? optional(args, "mac", asMac),
  };
}

/** Reads what Mesos says of the network; undefined when another runtime calls. Throws `invalid`. */
export function readMesosNetworkInfo(config: Section): MesosNetworkInfo | undefined {
  if (field(config, "args") === undefined) return undefined;
  const info = optional(child(child(config, "args"), "org.apache.mesos"), "network_info", asSection);
  if (info === undefined) return undefined;
  return {
    name: optional(info, "name", asText),
    groups: listOf(info, "groups", asText),
    labels: listOf(child(info, "labels"), "labels", asLabel),
    portMappings: listOf(info, "port_mappings", asPortMapping("host_port", "container_port")),
    ips: listOf(info, "ip_addresses", asMesosAddress).filter((ip) => ip !== undefined),
  };
}

/** Decodes one range of host-local's `ranges`, or of the `ipRanges` capability. */
export const asRange: Decode<RangeConfig> = (value, at) => {
  const range = asSection(value, at);
  const rangeStart = optional(range, "rangeStart", asIp);
  const rangeEnd = optional(range, "rangeEnd", asIp);
  const gateway = optional(range, "gateway", asIp);
  return {
    subnet: required<Prefix>(range, "subnet", asPrefix),
    ...(rangeStart === undefined ? {} : { rangeStart }),
    ...(rangeEnd === undefined ? {} : { rangeEnd }),
    ...(gateway === undefined ? {} : { gateway }),
  };
};

/** Decodes one range set: the pool of one address. */
export const asRangeSet: Decode<readonly RangeConfig[]> = arrayOf(asRange);

/** Decodes a port mapping; the runtimes differ only in the spelling of its keys. A protocol may be in upper case,
 *  and is TCP when absent: the reference passes any text on to iptables, which then fails. */
function asPortMapping(hostKey: string, containerKey: string): Decode<PortMapping> {
  return (value, at) => {
    const mapping = asSection(value, at);
    const hostIp = optional(mapping, "hostIP", asIp);
    return {
      hostPort: required(mapping, hostKey, asPort),
      containerPort: required(mapping, containerKey, asPort),
      protocol: optional(mapping, "protocol", asProtocol) ?? "tcp",
      ...(hostIp === undefined ? {} : { hostIp }),
    };
  };
}

const asLabel: Decode<MesosNetworkInfo["labels"][number]> = (value, at) => {
  const label = asSection(value, at);
  return { key: required(label, "key", asText), value: optional(label, "value", asText) };
};

const asMesosAddress: Decode<Ip | undefined> = (value, at) => optional(asSection(value, at), "ip_address", asIp);
