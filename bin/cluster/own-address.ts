import type { Kernel, LinkAddress } from "../../kernel/kernel.ts";
import { equalIp, formatIp, type Ip, tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";

/** Addresses of this node on the underlay. */
export interface OwnAddresses {
  readonly address: Ip;
  readonly address6: Ip | undefined;
}

/** Start of the alias of links that the overlay makes: their addresses are not the node's own. */
const OVERLAY_ALIAS = "dcos-net overlay";

/**
 * Where the others reach this node: `advertise`, or, when that is empty, the address that packets to `toward` start
 * from, as the kernel's routes say; the IPv6 address is the first of global scope on the same link. Throws a NetError
 * `invalid` when that isn't an IPv4 address of this host.
 */
export async function ownAddresses(kernel: Kernel, advertise: string, toward: string): Promise<OwnAddresses> {
  const present = usableAddresses(kernel);
  const text = advertise === "" ? ((await sourceAddress(toward)) ?? onlyAddress(present)) : advertise;
  const ip = tryParseIp(text);
  const own = present.find(({ address }) => ip !== undefined && equalIp(address.ip, ip));
  if (ip?.family !== 4 || own === undefined) throw unusable(text, present);
  const v6 = present.find(({ dev, address, tentative, dadFailed }) => {
    return dev === own.dev && address.ip.family === 6 && !tentative && !dadFailed;
  });
  return { address: ip, address6: v6?.address.ip };
}

function usableAddresses(kernel: Kernel): LinkAddress[] {
  const ours = new Set(kernel.links().flatMap(({ name, alias }) => (alias?.startsWith(OVERLAY_ALIAS) ? name : [])));
  return kernel.addresses().filter(({ dev, scope }) => scope === "global" && dev !== "lo" && !ours.has(dev));
}

/** Connecting a UDP socket sends nothing; it only makes the kernel choose a route. */
async function sourceAddress(toward: string): Promise<string | undefined> {
  try {
    const socket = await Bun.udpSocket({ connect: { hostname: toward, port: 9 } });
    const { address } = socket.address;
    socket.close();
    return address;
  } catch {
    // No route leads there.
    return undefined;
  }
}

function onlyAddress(present: readonly LinkAddress[]): string {
  const v4 = present.filter(({ address }) => address.ip.family === 4);
  return v4.length === 1 && v4[0] !== undefined ? formatIp(v4[0].address.ip) : "";
}

function unusable(text: string, present: readonly LinkAddress[]): NetError {
  const names = present.flatMap(({ address, dev }) =>
    address.ip.family === 4 ? `${formatIp(address.ip)} (${dev})` : [],
  );
  return new NetError("invalid", {
    tried: text === "" ? "find the address of this node" : `use ${text.slice(0, 60)} as the address of this node`,
    said: `this host has: ${names.join(", ") || "no IPv4 address"}`,
    remedy: "set advertise_address to the IPv4 address at which the other nodes reach this one",
  });
}
