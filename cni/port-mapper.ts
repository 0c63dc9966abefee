import { messageOf } from "../lib/error.ts";
import { asText, type Decode, field, listOf, required, unexpected } from "./config.ts";
import { checkInterfaceName } from "./environment.ts";
import { CniError, toCniError } from "./error.ts";
import { checkFirewall } from "./firewall.ts";
import type { FirewallEntry } from "./firewall-commands.ts";
import type { Owner } from "./firewall-owner.ts";
import { closeHostPorts, collectHostPorts, openHostPorts } from "./host-ports.ts";
import { inTurn } from "./in-turn.ts";
import { type MapperDelegate, readDelegate } from "./port-mapper-delegate.ts";
import { type HostPortsRequest, hostPortsEntries } from "./portmap-rules.ts";
import type { Call, Host, Plugin } from "./protocol.ts";
import { readMesosNetworkInfo } from "./request.ts";
import type { Result } from "./result.ts";
import { readPrevResult } from "./result-reader.ts";

/** Error codes of the port mapper that comes with Mesos (port_mapper.hpp). Its 100 (standard input) and 104
 *  (command) don't come up: the dispatcher answers those with the codes of the specification. */
const MAPPER_ERROR = { config: 101, delegate: 102, firewall: 103 } as const;

/** What the configuration wants of host ports. */
type Wish = Pick<HostPortsRequest, "mappings" | "excludeDevices">;

/** The port mapper of Mesos: connects the container by another plugin, then leads host ports to it. `chain` was the
 *  name of its iptables chain; it is still required, and nothing is made of it. `excludeDevices` are interfaces that
 *  host ports don't work from (all of them, where the reference heeds only the last), but a container always reaches
 *  its own. `inProcess` gives the plugin for a delegate's type where it can run here; it must leave host ports
 *  alone. */
export function portMapperPlugin(inProcess: (type: string) => Plugin | undefined): Plugin {
  const readInner = (call: Call) => numbered(MAPPER_ERROR.config, () => readDelegate(call, inProcess));
  return {
    name: "mesos-cni-port-mapper",
    about: "dcos-net port mapper for Mesos: connects the container by a delegate and maps host ports to it",

    add(call, host) {
      const inner = readInner(call);
      const wish = readWish(call);
      const result = numbered(MAPPER_ERROR.delegate, () => inner.add(host));
      try {
        const entries = numbered(MAPPER_ERROR.config, () => entriesOf(call, wish, result));
        numbered(MAPPER_ERROR.firewall, () => openHostPorts(host.kernel(), host.files, entries));
      } catch (error) {
        takeBack(call, host, inner);
        throw error;
      }
      return result;
    },

    del(call, host) {
      inTurn([
        () => numbered(MAPPER_ERROR.firewall, () => closeHostPorts(host.kernel(), host.files, ownerOf(call))),
        () => {
          const inner = readInner(call);
          numbered(MAPPER_ERROR.delegate, () => inner.run("DEL", host));
        },
      ]);
    },

    check(call, host) {
      readInner(call).run("CHECK", host);
      const previous = readPrevResult(call.config, call.version);
      if (previous !== undefined) checkFirewall(host.kernel(), entriesOf(call, readWish(call), previous));
    },

    gc(call, host) {
      inTurn([() => collect(call, host), () => readInner(call).run("GC", host)]);
    },

    status: (call, host) => readInner(call).run("STATUS", host),
  };
}

function readWish(call: Call): Wish {
  return numbered(MAPPER_ERROR.config, () => {
    const { config } = call;
    required(config, "chain", asText);
    const excludeDevices = listOf(config, "excludeDevices", asDevice);
    const info = readMesosNetworkInfo(config);
    if (info === undefined && field(config, "args") !== undefined) {
      throw unexpected(field(config, "args"), "args", "args with org.apache.mesos.network_info, or none at all");
    }
    return { mappings: info?.portMappings ?? [], excludeDevices };
  });
}

/** An interface's name that may stand between quotes in nft's language, without its wildcard. */
const asDevice: Decode<string> = (value, at) => {
  const name = asText(value, at);
  checkInterfaceName(name);
  if (/["*\\]/.test(name)) throw unexpected(value, at, "the name of an interface");
  return name;
};

function ownerOf({ network, containerId, ifname }: Call): Owner {
  return { network, containerId, ifname };
}

function entriesOf(call: Call, wish: Wish, { ips }: Result): FirewallEntry[] {
  return hostPortsEntries({
    owner: ownerOf(call),
    addresses: ips.map(({ address }) => address),
    ...wish,
    snat: true,
    masqAll: false,
    conditions: { 4: undefined, 6: undefined },
  });
}

function collect({ network, attachments }: Call, host: Host): void {
  if (attachments !== undefined) collectHostPorts(host.kernel(), host.files, network, attachments);
}

function takeBack(call: Call, host: Host, inner: MapperDelegate): void {
  try {
    inTurn([() => closeHostPorts(host.kernel(), host.files, ownerOf(call)), () => inner.run("DEL", host)]);
  } catch (error) {
    call.note(`not taken back: ${messageOf(error)}`);
  }
}

/** Gives the failures of `action` a code of the mapper and leaves their words. */
function numbered<T>(code: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const { message, details } = toCniError(error, "");
    throw new CniError(code, message, details);
  }
}
