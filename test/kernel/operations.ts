import type { AddressSpec, FdbEntry, LinkChanges, LinkSpec, Operation, Route, Rule } from "../../kernel/kernel.ts";
import { parseIp, parsePrefix } from "../../lib/address.ts";

/** Short forms of operations for the suite, with addresses as text. */

export function add(link: LinkSpec): Operation {
  return { do: "link.add", link };
}

export function bridge(name: string, rest: Partial<Extract<LinkSpec, { kind: "bridge" }>> = {}): Operation {
  return add({ kind: "bridge", name, ...rest });
}

export function veth(name: string, peer: string, rest: Partial<Extract<LinkSpec, { kind: "veth" }>> = {}): Operation {
  return add({ kind: "veth", name, peer: { name: peer }, ...rest });
}

export function vxlan(name: string, rest: Partial<Extract<LinkSpec, { kind: "vxlan" }>> = {}): Operation {
  return add({ kind: "vxlan", name, vni: 1024, port: 64000, learning: false, ...rest });
}

export function set(dev: string, changes: LinkChanges): Operation {
  return { do: "link.set", dev, set: changes };
}

export function remove(dev: string): Operation {
  return { do: "link.delete", dev };
}

export function address(
  verb: "add" | "replace" | "delete",
  dev: string,
  text: string,
  rest: Partial<AddressSpec> = {},
): Operation {
  return { do: `address.${verb}`, address: { dev, address: parsePrefix(text), ...rest } };
}

type RouteRest = Partial<Omit<Route, "dst" | "gateway" | "source">> & {
  readonly gateway?: string;
  readonly source?: string;
};

export function route(verb: "add" | "append" | "replace" | "delete", dst: string, rest: RouteRest = {}): Operation {
  const { gateway, source, ...plain } = rest;
  return {
    do: `route.${verb}`,
    route: {
      dst: parsePrefix(dst),
      ...plain,
      ...(gateway === undefined ? {} : { gateway: parseIp(gateway) }),
      ...(source === undefined ? {} : { source: parseIp(source) }),
    },
  };
}

export function rule(verb: "add" | "delete", from: string | undefined, rest: Partial<Rule> = {}): Operation {
  const source = from === undefined ? {} : { from: parsePrefix(from) };
  return { do: `rule.${verb}`, rule: { family: source.from?.ip.family ?? 4, table: 42, ...source, ...rest } };
}

export function neighbor(verb: "add" | "replace", dev: string, ip: string, mac: string): Operation {
  return { do: `neighbor.${verb}`, neighbor: { dev, ip: parseIp(ip), mac, permanent: true } };
}

export function dropNeighbor(dev: string, ip: string): Operation {
  return { do: "neighbor.delete", neighbor: { dev, ip: parseIp(ip) } };
}

export function fdb(verb: "add" | "replace" | "delete", dev: string, mac: string, remote: string): Operation {
  const entry: FdbEntry = { dev, mac, remote: parseIp(remote) };
  return { do: `fdb.${verb}`, entry };
}

export const up = (dev: string): Operation => set(dev, { up: true });
export const down = (dev: string): Operation => set(dev, { up: false });
