import type { Kernel, LinkSpec, Operation, Route } from "../../kernel/kernel.ts";
import { formatIp, hostPrefix, type Ip } from "../../lib/address.ts";
import { hasErrno, messageOf, NetError } from "../../lib/error.ts";

/** The link that routes of virtual IPs lead to, named as in DC/OS, whose network managers are told to leave it
 *  alone. */
export const VIP_DEVICE = "minuteman";
/** Who installed our routes (rtnetlink's RTPROT_*): a number that no other program and no other part of ours has. */
export const VIP_ROUTE_PROTOCOL = 172;
const ALIAS = "dcos-net l4lb";
const MAIN_TABLE = 254;
const LOCAL_TABLE = 255;

/** Brings the device up, as far as it isn't; tells what was made. A kernel without the dummy driver gets a bridge
 *  without ports, which swallows packets as well. A link of that name that somebody else made is used as it is. */
export function prepareVipDevice(kernel: Kernel): string[] {
  const present = kernel.link(VIP_DEVICE);
  if (present?.up === true) return [];
  if (present !== undefined) {
    kernel.apply([{ do: "link.set", dev: VIP_DEVICE, set: { up: true } }]);
    return [`link ${VIP_DEVICE} (it was down)`];
  }
  const common = { name: VIP_DEVICE, up: true, alias: ALIAS } as const;
  const kinds: readonly LinkSpec[] = [
    { kind: "dummy", ...common },
    { kind: "bridge", ...common },
  ];
  const refusals: unknown[] = [];
  for (const link of kinds) {
    const [error] = kernel.attempt([{ do: "link.add", link }]);
    if (error === undefined || hasErrno(error, "EEXIST")) return [`link ${VIP_DEVICE}`];
    refusals.push(error);
  }
  throw new NetError("unsupported", {
    tried: `create link ${VIP_DEVICE}`,
    said: refusals.map(messageOf).join("; "),
    remedy: "load the kernel module dummy",
  });
}

/** Takes the device away when we made it and none of our routes lead to it any more: another data plane, which may just
 *  be taking over, has its own there. */
export function removeVipDevice(kernel: Kernel): void {
  if (kernel.link(VIP_DEVICE)?.alias !== ALIAS || routesOf(kernel).length > 0) return;
  if (kernel.routes({ table: LOCAL_TABLE, dev: VIP_DEVICE, local: true }).length > 0) return;
  kernel.apply([{ do: "link.delete", dev: VIP_DEVICE }]);
}

/** Takes away our routes of table main. */
export function removeVipRoutes(kernel: Kernel): void {
  kernel.apply(routesOf(kernel).map((route): Operation => ({ do: "route.delete", route })));
}

/** The addresses that have a route of ours. */
export function readVipRoutes(kernel: Kernel): Ip[] {
  return routesOf(kernel).map(({ dst }) => dst.ip);
}

function routesOf(kernel: Kernel): Route[] {
  const routes = kernel.routes({ table: MAIN_TABLE, dev: VIP_DEVICE });
  return routes.filter(({ dst, protocol }) => protocol === VIP_ROUTE_PROTOCOL && isHost(dst));
}

function isHost({ ip, length }: Route["dst"]): boolean {
  return length === hostPrefix(ip).length;
}

/** Adds or removes the route of each address, so that a process of the host can connect to it, wherever its other
 *  routes lead. One error or undefined for each; one that is gone already, or its device, is no error. */
export function changeVipRoutes(
  kernel: Kernel,
  verb: "add" | "delete",
  addresses: readonly Ip[],
): (Error | undefined)[] {
  const outcome = kernel.attempt(addresses.map((ip) => operation(verb, ip)));
  return outcome.map((error, index) => {
    if (error === undefined) return undefined;
    if (verb === "delete" && ["ESRCH", "ENODEV"].some((errno) => hasErrno(error, errno))) return undefined;
    const ip = addresses[index];
    return ip === undefined
      ? error
      : new NetError("kernel", {
          tried: `${verb} the route of virtual IP ${formatIp(ip)}`,
          said: messageOf(error),
          cause: error,
        });
  });
}

function operation(verb: "add" | "delete", ip: Ip): Operation {
  const route: Route = { dst: hostPrefix(ip), dev: VIP_DEVICE, protocol: VIP_ROUTE_PROTOCOL };
  return verb === "add" ? { do: "route.replace", route } : { do: "route.delete", route };
}
