import { equalIp, formatIp, type Ip } from "../lib/address.ts";
import { hasIpv6 } from "./fake-local.ts";
import { Refusal } from "./fake-refusal.ts";
import type { FakeLink, FakeNeighbor } from "./fake-state.ts";
import type { FdbEntry, Mac, Neighbor } from "./kernel.ts";
import { macBytes } from "./link.ts";

const ZERO_MAC = "00:00:00:00:00:00";

/** `ip neighbor add` and `ip neighbor replace`. A link needn't be up for it. */
export function addNeighbor(link: FakeLink, { ip, mac, permanent }: Neighbor, replace: boolean): void {
  macBytes(mac);
  if (ip.family === 6 && !hasIpv6(link)) throw new Refusal("EINVAL");
  const key = neighborKey(link, ip);
  if (!replace && link.stack.neighbors.has(key)) throw new Refusal("EEXIST");
  link.stack.neighbors.set(key, { link, ip, mac: mac.toLowerCase(), permanent });
}

export function deleteNeighbor(link: FakeLink, ip: Ip): void {
  if (!link.stack.neighbors.delete(neighborKey(link, ip))) throw new Refusal("ENOENT");
}

function neighborKey(link: FakeLink, ip: Ip): string {
  return `${link.index} ${formatIp(ip)}`;
}

export function reportNeighbor({ link, ip, mac, permanent }: FakeNeighbor): Neighbor {
  return { dev: link.name, ip, mac, permanent };
}

/** `bridge fdb add` and `bridge fdb replace … self permanent`. A unicast address has one remote. */
export function addFdb(link: FakeLink, { mac, remote }: FdbEntry, replace: boolean): void {
  macBytes(mac);
  if (link.vxlan !== undefined) checkRemote(link.vxlan, mac, remote, replace);
  const key = fdbKey(link, mac);
  if (!replace && link.stack.fdb.has(key)) throw new Refusal("EEXIST");
  link.stack.fdb.set(key, { link, mac: mac.toLowerCase(), remote });
}

function checkRemote(vxlan: NonNullable<FakeLink["vxlan"]>, mac: Mac, remote: Ip, replace: boolean): void {
  if (remote.family !== (vxlan.local?.family ?? 4)) throw new Refusal("EAFNOSUPPORT");
  const [first = 0] = macBytes(mac);
  if (replace && (mac === ZERO_MAC || (first & 1) !== 0)) {
    throw new Refusal("EOPNOTSUPP", "Cannot replace non-unicast fdb entries");
  }
}

/** `bridge fdb delete`. An address that is known with another remote is left alone, and no error. */
export function deleteFdb(link: FakeLink, { mac, remote }: FdbEntry): void {
  const key = fdbKey(link, mac);
  const entry = link.stack.fdb.get(key);
  if (entry === undefined) throw new Refusal("ENOENT");
  if (link.vxlan !== undefined && remote.family !== (link.vxlan.local?.family ?? 4)) throw new Refusal("EAFNOSUPPORT");
  if (link.vxlan === undefined || equalIp(entry.remote, remote)) link.stack.fdb.delete(key);
}

function fdbKey(link: FakeLink, mac: Mac): string {
  return `${link.index} ${mac.toLowerCase()}`;
}

/** Entries with a remote: those of VXLAN links. */
export function fdbOf(link: FakeLink): FdbEntry[] {
  if (link.vxlan === undefined) return [];
  const own = [...link.stack.fdb.values()].filter((entry) => entry.link === link);
  return own.map(({ mac, remote }) => ({ dev: link.name, mac, remote }));
}
