import { describeRoute } from "../kernel/encode.ts";
import type { Kernel, Link } from "../kernel/kernel.ts";
import { contains, equalIp, equalPrefix, formatPrefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";
import { type BridgeConfig, readBridgeConfig } from "./bridge-config.ts";
import { missingGateways } from "./bridge-device.ts";
import { type FirewallRequest, verify } from "./bridge-firewall.ts";
import { gatewayPrefixes } from "./container-link.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import { ipamCheck } from "./ipam.ts";
import type { Call, Host } from "./protocol.ts";
import { readRuntimeRequest } from "./request.ts";
import type { Result } from "./result.ts";
import { readPrevResult } from "./result-reader.ts";
import { inSandbox, requireNetns } from "./sandbox.ts";

/** CHECK of the bridge plugins: compares what ADD answered with what is there, and names the first thing that isn't.
 *  What later plugins of the chain added is not looked at. `ports` are the host ports that this plugin itself
 *  serves. */
export function checkBridge(call: Call, host: Host, ports: FirewallRequest["ports"]): void {
  const config = readBridgeConfig(call.config, readRuntimeRequest(call.config), call.args);
  const result = readPrevResult(call.config, call.version);
  if (result === undefined) throw new CniError(CNI_ERROR.invalidConfig, "required prevResult missing");
  if (config.ipam !== undefined) ipamCheck(call, host, config.ipam.type);
  const bridge = checkBridgeLink(host.kernel(), config, result);
  const inside = inSandbox(host, requireNetns(call), (container) => checkInside(container, call, result));
  if (inside.kind === "veth") checkHostEnd(host.kernel(), inside, bridge, config);
  if (config.isGateway) checkGateways(host.kernel(), config, result);
  verify(host, { attachment: call, config, ports, result });
}

function checkBridgeLink(kernel: Kernel, config: BridgeConfig, result: Result): Link {
  const bridge = kernel.link(config.bridge);
  if (bridge === undefined) throw missing(`bridge ${config.bridge}`);
  const recorded = result.interfaces.find(({ name, sandbox }) => name === config.bridge && sandbox === undefined);
  if (bridge.kind !== "bridge") throw wrong(`link ${config.bridge}`, "it is not a bridge");
  if (recorded?.mac !== undefined && recorded.mac.toLowerCase() !== bridge.mac) {
    throw wrong(`bridge ${config.bridge}`, `its hardware address is ${bridge.mac} and was ${recorded.mac}`);
  }
  if (config.promiscMode && !bridge.promiscuous) throw wrong(`bridge ${config.bridge}`, "it is not promiscuous");
  return bridge;
}

function checkInside(container: Kernel, call: Call, result: Result): Link {
  const link = container.link(call.ifname);
  if (link === undefined) throw missing(`interface ${call.ifname} in ${call.netnsPath}`);
  const recorded = result.interfaces.find(({ name, sandbox }) => name === call.ifname && sandbox !== undefined);
  if (recorded?.sandbox !== undefined && recorded.sandbox !== call.netnsPath) {
    throw wrong(`interface ${call.ifname}`, `it was made in ${recorded.sandbox}, CNI_NETNS is ${call.netnsPath}`);
  }
  if (recorded?.mac !== undefined && recorded.mac.toLowerCase() !== link.mac) {
    throw wrong(`interface ${call.ifname}`, `its hardware address is ${link.mac} and was ${recorded.mac}`);
  }
  const own = result.ips.filter(({ interface: at }) => at === undefined || result.interfaces[at]?.name === call.ifname);
  checkAddressing(container, call, { ...result, ips: own });
  return link;
}

function checkAddressing(container: Kernel, call: Call, result: Result): void {
  const addresses = container.addresses(call.ifname);
  for (const { address } of result.ips) {
    if (!addresses.some((present) => equalPrefix(present.address, address))) {
      throw missing(`address ${formatPrefix(address)} of ${call.ifname} in ${call.netnsPath}`);
    }
  }
  const routes = container.routes();
  for (const route of result.routes) {
    // The reference accepts any gateway for a default route, because another plugin of the chain may have moved it.
    const found = routes.some(
      (present) =>
        equalPrefix(present.dst, route.dst) &&
        (route.dst.length === 0 ||
          route.gw === undefined ||
          (present.gateway !== undefined && equalIp(present.gateway, route.gw))),
    );
    if (!found) throw missing(`route ${describeRoute({ dst: route.dst })} in ${call.netnsPath}`);
  }
}

function checkHostEnd(kernel: Kernel, inside: Link, bridge: Link, config: BridgeConfig): void {
  const end = inside.peer === undefined ? undefined : kernel.linkAt(inside.peer);
  if (end === undefined) throw missing(`the host's end of ${inside.name}`);
  if (end.master !== bridge.index) throw wrong(`link ${end.name}`, `it is not a port of ${config.bridge}`);
  if (config.hairpinMode && end.bridgePort?.hairpin !== true)
    throw wrong(`bridge port ${end.name}`, "hairpin mode is off");
  if (config.portIsolation && end.bridgePort?.isolated !== true)
    throw wrong(`bridge port ${end.name}`, "it is not isolated");
}

function checkGateways(kernel: Kernel, config: BridgeConfig, result: Result): void {
  const own = gatewayPrefixes(result.ips).filter(({ ip }) => result.ips.some(({ address }) => contains(address, ip)));
  const [gateway] = missingGateways(kernel, config.bridge, own);
  if (gateway !== undefined) throw missing(`gateway address ${formatPrefix(gateway)} on ${config.bridge}`);
}

function missing(what: string): NetError {
  return new NetError("not-found", {
    tried: `find ${what}`,
    said: "it is missing",
    remedy: "DEL and ADD the container",
  });
}

function wrong(what: string, said: string): NetError {
  return new NetError("conflict", { tried: `check ${what}`, said, remedy: "DEL and ADD the container" });
}
