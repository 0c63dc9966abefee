import type { Kernel } from "../kernel/kernel.ts";
import { type Family, networkOf, offsetIp, parsePrefix } from "../lib/address.ts";
import { messageOf, NetError } from "../lib/error.ts";
import { lockAttachment } from "./attachment-lock.ts";
import { type BridgeConfig, readBridgeConfig } from "./bridge-config.ts";
import { ensureBridge, ensureGateways } from "./bridge-device.ts";
import type { FirewallRequest } from "./bridge-firewall.ts";
import {
  awaitForwarding,
  configure,
  connect,
  disconnect,
  gatewayFor,
  gatewayPrefixes,
  joinBridge,
} from "./container-link.ts";
import { wasFirewallUsed } from "./firewall-lock.ts";
import { inTurn } from "./in-turn.ts";
import { ipamAdd, ipamDel, ipamStatus } from "./ipam.ts";
import type { Call, Host, Plugin } from "./protocol.ts";
import { readMesosNetworkInfo, readRuntimeRequest } from "./request.ts";
import { checkConvertible, EMPTY_RESULT, type Result } from "./result.ts";
import { requireNetns } from "./sandbox.ts";

const loadRare = () => require("./rare.ts") as typeof import("./rare.ts");

/** A bridge plugin. With `hostPorts` it also serves `runtimeConfig.portMappings` and Mesos' port mappings; without, it
 *  leaves them to a portmap plugin later in the chain, as the reference bridge does: both would map the same port
 *  twice. */
export function bridgePlugin(name: string, about: string, hostPorts: boolean): Plugin {
  return {
    name,
    about,
    add: (call, host) => add(call, host, hostPorts),
    del: (call, host) => del(call, host),
    check: (call, host) => loadRare().checkBridge(call, host, hostPorts ? wantedPorts(call) : []),
    gc: (call, host) => loadRare().collectBridge(call, host),
    status,
  };
}

/** Steps that take back what an ADD has done so far, newest last. */
type Undo = (() => void)[];

function add(call: Call, host: Host, hostPorts: boolean): Result {
  const config = readConfig(call);
  const netns = requireNetns(call);
  const ports = hostPorts ? wantedPorts(call) : [];
  const undo: Undo = [];
  const lock = lockAttachment(host.files, call);
  const container = host.kernel().within(netns);
  try {
    const result = attach(call, host, container, config, undo);
    const request: FirewallRequest = { attachment: call, config, ports, result };
    if (ports.length > 0 || config.ipMasq || config.macspoofchk) {
      undo.push(() => loadRare().unprotect(host, call));
      loadRare().protect(host, request);
    }
    return result;
  } catch (error) {
    takeBack(undo, call);
    throw error;
  } finally {
    container.close();
    lock.release();
  }
}

/** Everything but the firewall: addresses first, because a full pool is the likeliest refusal and costs nothing to find
 *  out. */
function attach(call: Call, host: Host, container: Kernel, config: BridgeConfig, undo: Undo): Result {
  const kernel = host.kernel();
  const leased = lease(call, host, config, undo);
  checkConvertible(call.version, leased.ips);
  const plan = withGateways(leased, config);
  const bridge = ensureBridge(kernel, config);
  const gateways = gatewayPrefixes(plan.ips);
  if (config.isGateway && gateways.length > 0) {
    ensureGateways(kernel, gatewayDevice(config), gateways, config.forceAddress);
  }
  const mtu = config.mtu ?? bridge.mtu;
  const pair = connect(kernel, container, requireNetns(call), call, mtu, config.mac, host.clock.now());
  undo.push(() => disconnect(kernel, container, call));
  joinBridge(kernel, pair.name, call, bridge, config);
  if (!config.disableContainerInterface) {
    configure(container, call.ifname, pair.containerMac, plan, config);
    awaitForwarding(kernel, pair.name);
  }
  return {
    interfaces: [
      { name: bridge.name, mac: bridge.mac, mtu: bridge.mtu },
      { name: pair.name, mac: pair.mac, mtu },
      { name: call.ifname, mac: pair.containerMac, mtu, sandbox: call.netnsPath },
    ],
    ips: plan.ips,
    routes: plan.routes,
    dns: config.dns ?? plan.dns,
  };
}

/** A refused lease has left nothing behind, so only one that was given is taken back. */
function lease(call: Call, host: Host, { ipam }: BridgeConfig, undo: Undo): Result {
  if (ipam === undefined) return EMPTY_RESULT;
  const leased = ipamAdd(call, host, ipam.type);
  undo.push(() => ipamDel(call, host, ipam.type));
  return leased;
}

function readConfig(call: Call): BridgeConfig {
  return readBridgeConfig(call.config, readRuntimeRequest(call.config), call.args);
}

function wantedPorts(call: Call): FirewallRequest["ports"] {
  return [...readRuntimeRequest(call.config).portMappings, ...(readMesosNetworkInfo(call.config)?.portMappings ?? [])];
}

/** Fills in what the configuration derives: the gateway of an address is the first of its network when there has to be
 *  one, and with isDefaultGateway each family has a default route. */
function withGateways(leased: Result, config: BridgeConfig): Result {
  const ips = leased.ips.map((ip) => {
    const first = offsetIp(networkOf(ip.address).ip, 1);
    const derived = config.isGateway && ip.gateway === undefined && first !== undefined ? { gateway: first } : {};
    return { ...ip, ...derived, interface: CONTAINER_INTERFACE };
  });
  const families = new Set(ips.map(({ address }) => address.ip.family));
  const missing = [...families].filter((family) => !hasDefaultRoute(leased, family));
  const defaults = missing.flatMap((family) => {
    const gw = gatewayFor(family, ips);
    return gw === undefined ? [] : [{ dst: DEFAULT_ROUTE[family], gw }];
  });
  return { ...leased, ips, routes: config.isDefaultGateway ? [...leased.routes, ...defaults] : leased.routes };
}

/** Place of the container's interface in the result: after the bridge and the host's end. */
const CONTAINER_INTERFACE = 2;
const DEFAULT_ROUTE = { 4: parsePrefix("0.0.0.0/0"), 6: parsePrefix("::/0") } as const;

function hasDefaultRoute({ routes }: Result, family: Family): boolean {
  return routes.some(({ dst }) => dst.length === 0 && dst.ip.family === family);
}

function gatewayDevice(config: BridgeConfig): string {
  if (config.vlan === 0) return config.bridge;
  throw new NetError("unsupported", {
    tried: `make ${config.bridge} the gateway of VLAN ${config.vlan}`,
    said: "a gateway inside a VLAN is not supported",
    remedy: "leave out isGateway and isDefaultGateway, or the vlan",
  });
}

function takeBack(undo: Undo, call: Call): void {
  for (const step of undo.toReversed()) {
    try {
      step();
    } catch (error) {
      call.note(`not taken back: ${messageOf(error)}`);
    }
  }
}

/** Interface first, then its firewall entries, then its addresses: an address must not be leased anew while it still
 *  answers. Each part is tried even when one before it fails. */
function del(call: Call, host: Host): void {
  const config = readConfig(call);
  const lock = lockAttachment(host.files, call);
  const container = call.netns && host.kernel().within(call.netns);
  try {
    inTurn([
      () => disconnect(host.kernel(), container, call),
      () => (wasFirewallUsed(host.files) ? loadRare().unprotect(host, call) : undefined),
      () => (config.ipam === undefined ? undefined : ipamDel(call, host, config.ipam.type)),
    ]);
  } finally {
    container?.close();
    lock.release();
  }
}

function status(call: Call, host: Host): void {
  const config = readConfig(call);
  // Asking for any table shows whether nftables works here.
  if (config.ipMasq) host.kernel().nftables.chains("ip", "dcos_masquerade");
  const link = host.kernel().link(config.bridge);
  if (link !== undefined && link.kind !== "bridge") ensureBridge(host.kernel(), config);
  if (config.ipam !== undefined) ipamStatus(call, host, config.ipam.type);
}
