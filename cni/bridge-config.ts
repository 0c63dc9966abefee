import type { Prefix } from "../lib/address.ts";
import { parseArguments } from "./arguments.ts";
import {
  asFlag,
  asInteger,
  asMac,
  asPrefix,
  asSection,
  asText,
  asWord,
  type Decode,
  listOf,
  optional,
  required,
  type Section,
} from "./config.ts";
import { checkInterfaceName } from "./environment.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import type { RuntimeRequest } from "./request.ts";
import type { ResultDns } from "./result.ts";
import { asDns } from "./result-dns.ts";

/** Configuration of the bridge plugin: the keys of the reference plugin (cni.dev, "bridge") and one of ours. */
export interface BridgeConfig {
  /** Name of the bridge; created when missing. */
  readonly bridge: string;
  /** The bridge gets the gateway's address and the host forwards. */
  readonly isGateway: boolean;
  /** The container's default route leads to the gateway; implies isGateway. */
  readonly isDefaultGateway: boolean;
  /** A different address on the bridge is replaced instead of refused. */
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  /** Ours: destinations that see the container's own address although ipMasq is set, as the other overlays do. */
  readonly ipMasqExclude: readonly Prefix[];
  /** Bytes; undefined takes the bridge's, which is the kernel's default when the bridge is new. */
  readonly mtu: number | undefined;
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  /** 0 is none. */
  readonly vlan: number;
  readonly vlanTrunk: readonly number[];
  readonly preserveDefaultVlan: boolean;
  readonly macspoofchk: boolean;
  readonly enabledad: boolean;
  readonly disableContainerInterface: boolean;
  readonly portIsolation: boolean;
  /** Hardware address of the container's interface; the kernel chooses when undefined. */
  readonly mac: string | undefined;
  /** undefined: no addresses, layer 2 only. */
  readonly ipam: { readonly type: string; readonly section: Section } | undefined;
  /** Replaces what IPAM says of DNS when any of its keys is there, even an empty list. */
  readonly dns: ResultDns | undefined;
}

const asMtu = asInteger(0, 65535);
const asVlan = asInteger(0, 4094);
const asTrunkVlan = asInteger(1, 4094);

/** Reads and validates the whole configuration before anything is changed. `args` is CNI_ARGS. Throws `invalid` or a
 *  CniError. */
export function readBridgeConfig(config: Section, request: RuntimeRequest, args: string): BridgeConfig {
  const flag = (key: string) => optional(config, key, asFlag) ?? false;
  const bridge = optional(config, "bridge", asText) ?? "cni0";
  checkBridgeName(bridge);
  // Masquerading is done with nftables whichever back end is asked for: both words of the reference are accepted.
  optional(config, "ipMasqBackend", asWord(["iptables", "nftables"]));
  const isDefaultGateway = flag("isDefaultGateway");
  const mac = request.mac ?? parseMac(parseArguments(args, ["MAC", "IP", "GATEWAY"]).get("MAC"));
  const read: BridgeConfig = {
    bridge,
    isGateway: isDefaultGateway || flag("isGateway"),
    isDefaultGateway,
    forceAddress: flag("forceAddress"),
    ipMasq: flag("ipMasq"),
    ipMasqExclude: listOf(config, "ipMasqExclude", asPrefix),
    mtu: optional(config, "mtu", asMtu) || undefined,
    hairpinMode: flag("hairpinMode"),
    promiscMode: flag("promiscMode"),
    vlan: optional(config, "vlan", asVlan) ?? 0,
    vlanTrunk: listOf(config, "vlanTrunk", asTrunk).flat(),
    preserveDefaultVlan: flag("preserveDefaultVlan"),
    macspoofchk: flag("macspoofchk"),
    enabledad: flag("enabledad"),
    disableContainerInterface: flag("disableContainerInterface"),
    portIsolation: flag("portIsolation"),
    mac,
    ipam: readIpam(config),
    dns: readDns(config),
  };
  refuseContradictions(read);
  return read;
}

function refuseContradictions(config: BridgeConfig): void {
  if (config.hairpinMode && config.promiscMode) {
    throw new CniError(CNI_ERROR.invalidConfig, "cannot set hairpin mode and promiscuous mode at the same time.");
  }
  if (config.disableContainerInterface && config.ipam !== undefined) {
    throw new CniError(CNI_ERROR.invalidConfig, "cannot use IPAM when DisableContainerInterface flag is set");
  }
}

function checkBridgeName(name: string): void {
  try {
    checkInterfaceName(name);
  } catch (cause) {
    if (!(cause instanceof CniError)) throw cause;
    throw new CniError(CNI_ERROR.invalidConfig, `bridge: ${cause.message}`, cause.details);
  }
}

/** An `ipam` object without a type is no IPAM, as for the reference. */
function readIpam(config: Section): BridgeConfig["ipam"] {
  const section = optional(config, "ipam", asSection);
  const type = section === undefined ? undefined : optional(section, "type", asText);
  return section === undefined || type === undefined ? undefined : { type, section };
}

/** `{id}` or `{minID, maxID}`. */
const asTrunk: Decode<readonly number[]> = (value, at) => {
  const trunk = asSection(value, at);
  const id = optional(trunk, "id", asTrunkVlan);
  if (id !== undefined) return [id];
  const least = required(trunk, "minID", asTrunkVlan);
  const most = required(trunk, "maxID", asInteger(least, 4094));
  return Array.from({ length: most - least + 1 }, (_, index) => least + index);
};

function parseMac(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : asMac(text, "CNI_ARGS MAC");
}

function readDns(config: Section): ResultDns | undefined {
  const dns = optional(config, "dns", asDns);
  return dns === undefined || Object.values(dns).every((value) => value === undefined) ? undefined : dns;
}
