import type { Prefix } from "../lib/address.ts";
import {
  arrayOf,
  asFlag,
  asInteger,
  asText,
  asWord,
  type Decode,
  field,
  optional,
  type Section,
  unexpected,
} from "./config.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import { checkFirewall } from "./firewall.ts";
import type { FirewallEntry } from "./firewall-commands.ts";
import { closeHostPorts, collectHostPorts, openHostPorts } from "./host-ports.ts";
import { HOST_PORTS, type HostPortsRequest, hostPortsEntries } from "./portmap-rules.ts";
import type { Call, Plugin } from "./protocol.ts";
import { readRuntimeRequest } from "./request.ts";
import { checkConvertible, type Result } from "./result.ts";
import { readPrevResult } from "./result-reader.ts";

/** What the configuration of portmap decides (cni.dev, "portmap"). */
type Settings = Pick<HostPortsRequest, "snat" | "masqAll" | "conditions">;

/** Host ports for the container that the plugins before it in the chain have connected. It takes the reference
 *  plugin's configuration and does all with nftables. Differences: a port that another container holds is refused;
 *  DEL needs no portMappings; GC works; conditions hold for their own container only. */
export function portmapPlugin(name: string): Plugin {
  return {
    name,
    about: "dcos-net portmap plugin: host ports that lead to the container",

    add(call, host) {
      const previous = requirePrevious(call);
      checkConvertible(call.version, previous.ips);
      openHostPorts(host.kernel(), host.files, wantedEntries(call, previous));
      return previous;
    },

    del({ network, containerId, ifname }, host) {
      closeHostPorts(host.kernel(), host.files, { network, containerId, ifname });
    },

    check(call, host) {
      checkFirewall(host.kernel(), wantedEntries(call, requirePrevious(call)));
    },

    gc({ network, attachments }, host) {
      if (attachments !== undefined) collectHostPorts(host.kernel(), host.files, network, attachments);
    },

    status(call, host) {
      readSettings(call.config);
      host.kernel().nftables.chains(HOST_PORTS[4].family, HOST_PORTS[4].name);
    },
  };
}

function requirePrevious(call: Call): Result {
  const previous = readPrevResult(call.config, call.version);
  if (previous !== undefined) return previous;
  throw new CniError(CNI_ERROR.invalidConfig, "must be called as chained plugin", "there is no prevResult");
}

function wantedEntries(call: Call, previous: Result): FirewallEntry[] {
  const { network, containerId, ifname } = call;
  const settings = readSettings(call.config);
  const mappings = readRuntimeRequest(call.config).portMappings;
  if (mappings.length === 0) return [];
  const owner = { network, containerId, ifname };
  const addresses = containerAddresses(previous, ifname);
  const entries = hostPortsEntries({ owner, addresses, mappings, ...settings, excludeDevices: [] });
  if (entries.length === 0) call.note("no port mapping suits the container's addresses: nothing was mapped");
  return entries;
}

/** Addresses of the container's interface `ifname`, and those that say of no interface whose they are. */
function containerAddresses({ ips, interfaces }: Result, ifname: string): readonly Prefix[] {
  const isOwn = (index: number | undefined) => {
    const link = index === undefined ? undefined : interfaces[index];
    return link === undefined || (link.name === ifname && link.sandbox !== undefined);
  };
  return ips.filter((ip) => isOwn(ip.interface)).map(({ address }) => address);
}

/** Both back ends of the reference are accepted, for either word gives the same host ports. So is `markMasqBit`, but
 *  no packet is marked: a look-up of the addresses tells which ones to masquerade. */
function readSettings(config: Section): Settings {
  optional(config, "backend", asWord(["iptables", "nftables"]));
  optional(config, "markMasqBit", asInteger(0, 31));
  refuseMarkChain(config);
  return {
    snat: optional(config, "snat", asFlag) ?? true,
    masqAll: optional(config, "masqAll", asFlag) ?? false,
    conditions: { 4: readConditions(config, "conditionsV4"), 6: readConditions(config, "conditionsV6") },
  };
}

function refuseMarkChain(config: Section): void {
  const chain = field(config, "externalSetMarkChain");
  if (chain === undefined) return;
  throw new CniError(
    CNI_ERROR.unsupportedField,
    `unsupported externalSetMarkChain ${JSON.stringify(chain)}`,
    "a chain of iptables can't be used from nftables; leave the key out and packets are masqueraded without marks",
  );
}

/** The words of one condition in nft's language, joined. A first word that begins as an option does is iptables'
 *  language. */
function readConditions(config: Section, key: string): string | undefined {
  const words = optional(config, key, arrayOf(asConditionWord)) ?? [];
  if (/^[-!]/.test(words[0] ?? "")) {
    throw new CniError(
      CNI_ERROR.unsupportedField,
      `unsupported ${key} ${JSON.stringify(words)}`,
      'these are matches of iptables; write them for nftables, such as ["ip","saddr","10.0.0.0/8"]',
    );
  }
  return words.length === 0 ? undefined : words.join(" ");
}

/** A word that can't end the rule and begin another command. */
const asConditionWord: Decode<string> = (value, at) => {
  const word = asText(value, at);
  if (/[;#\\\s]/.test(word) || word === "") throw unexpected(value, at, "one word of nft's language");
  return word;
};
