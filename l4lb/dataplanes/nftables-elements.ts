import type { NftElementBytes } from "../../kernel/nftables.ts";
import { type Family, type Ip, ipBytes, ipFromBytes, widthOf } from "../../lib/address.ts";
import { toHex } from "../../lib/bytes.ts";
import { type Backend, compareBackends, type Scheduler, type Service, type ServiceKey } from "../service.ts";
import { slotsOf } from "./nftables-slots.ts";

// What stands in the sets and maps of table `inet dcos_l4lb` for one service. Keys and data are in the kernel's form:
// each field in whole registers of four bytes (nftables.ts of the kernel).

/** An element with the name of its set. */
export interface Placed {
  readonly set: string;
  readonly element: NftElementBytes;
}

const PROTOCOL = { tcp: 6, udp: 17 } as const;
const SCHEDULERS: ReadonlySet<string> = new Set<Scheduler>(["wlc", "rr", "sh", "mh"]);
const FIELD = 4;

/** Name of the map that leads from a number below `size` to a backend. */
export function slotMap(by: "random" | "hash", family: Family, size: number): string {
  return `${by}${family}_${size}`;
}

/** All elements of a service but that of its address, which services share. */
export function elementsOf(service: Service): Placed[] {
  const { family } = service.ip;
  const key = serviceKey(service);
  const comment = `${service.scheduler} ${service.affinity}`;
  const placed: Placed[] = [{ set: `services${family}`, element: { key, comment } }];
  const targets = service.backends.map((backend) => targetBytes(backend));
  for (const [index, { weight }] of service.backends.entries()) {
    const whole = joined(key, targets[index] ?? NOTHING);
    placed.push({ set: `backends${family}`, element: { key: whole, comment: String(weight) } });
  }
  const slots = slotsOf(service);
  if (slots !== undefined) {
    const set = slotMap(slots.by, family, slots.backends.length);
    for (const [number, index] of slots.backends.entries()) {
      placed.push({ set, element: { key: joined(key, hostNumber(number)), data: targets[index] ?? NOTHING } });
    }
  }
  if (service.affinity > 0 && slots !== undefined) {
    placed.push({ set: `affine${family}_${service.affinity}`, element: { key } });
  }
  return placed;
}

const NOTHING = new Uint8Array();

/** The element of set `vips4` or `vips6` that an address has. */
export function addressElement(ip: Ip): Placed {
  return { set: `vips${ip.family}`, element: { key: ipBytes(ip) } };
}

/** Address, protocol and port. */
export function serviceKey({ ip, protocol, port }: ServiceKey): Uint8Array {
  const address = ipBytes(ip);
  const key = new Uint8Array(address.length + 2 * FIELD);
  key.set(address);
  key[address.length] = PROTOCOL[protocol];
  setPort(key, address.length + FIELD, port);
  return key;
}

/** A backend as data of a map: address and port. */
export function targetBytes({ ip, port }: Pick<Backend, "ip" | "port">): Uint8Array {
  const address = ipBytes(ip);
  const value = new Uint8Array(address.length + FIELD);
  value.set(address);
  setPort(value, address.length, port);
  return value;
}

function setPort(bytes: Uint8Array, offset: number, port: number): void {
  bytes[offset] = port >> 8;
  bytes[offset + 1] = port & 255;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

/** What `numgen` and `jhash` give is a number of the machine's own byte order. */
function hostNumber(number: number): Uint8Array {
  return new Uint8Array(new Uint32Array([number]).buffer);
}

/** What tells an element from all others, its content included. */
export function identity({ set, element: { key, data, comment } }: Placed): string {
  return `${set} ${toHex(key)} ${data === undefined ? "" : toHex(data)} ${comment ?? ""}`;
}

/** The part of an element's key that names its service, as text. */
export function ownerOf(family: Family, key: Uint8Array): string {
  return toHex(key.subarray(0, widthOf(family) / 8 + 2 * FIELD));
}

/** The service that elements say they make, or undefined when they don't even name one. Whether they are all of it,
 *  and no more, is for the caller to compare. */
export function serviceOf(family: Family, placed: readonly Placed[]): Service | undefined {
  const named = placed.find(({ set }) => set === `services${family}`)?.element;
  const [, scheduler = "", affinity = ""] = /^(\w+) (\d{1,5})$/.exec(named?.comment ?? "") ?? [];
  const key = named && keyOf(family, named.key);
  if (key === undefined || !SCHEDULERS.has(scheduler)) return undefined;
  const backends = placed
    .filter(({ set }) => set === `backends${family}`)
    .map(({ element }) => backendOf(family, element))
    .sort(compareBackends);
  return { ...key, scheduler: scheduler as Scheduler, affinity: Number(affinity), backends };
}

/** The service that a key begins with; undefined when its protocol is none of ours. */
export function keyOf(family: Family, key: Uint8Array): ServiceKey | undefined {
  const length = widthOf(family) / 8;
  const protocol = key[length] === PROTOCOL.tcp ? "tcp" : key[length] === PROTOCOL.udp ? "udp" : undefined;
  return protocol && { protocol, ip: ipFromBytes(key.slice(0, length)), port: portAt(key, length + FIELD) };
}

/** The backend that an element of set `backends4` or `backends6` stands for. */
export function backendOf(family: Family, { key, comment }: NftElementBytes): Backend {
  const length = widthOf(family) / 8;
  const start = length + 2 * FIELD;
  return {
    ip: ipFromBytes(key.slice(start, start + length)),
    port: portAt(key, start + length),
    weight: Number(comment ?? 0),
  };
}

function portAt(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}
