import type { NftRawElement } from "../../kernel/nftables.ts";
import { type Family, type Ip, ipFromBytes, widthOf } from "../../lib/address.ts";
import { fromHex } from "../../lib/bytes.ts";
import { type Backend, compareBackends, type Scheduler, type Service, type ServiceKey } from "../service.ts";
import { slotsOf } from "./nftables-slots.ts";

// What stands in the sets and maps of table `inet dcos_l4lb` for one service. Keys and data are in the kernel's form,
// in hexadecimal digits: each field in whole registers of four bytes (nftables.ts of the kernel).

/** An element with the name of its set. */
export interface Placed {
  readonly set: string;
  readonly element: NftRawElement;
}

/** Registers with the number of a transport protocol, which is one byte. */
const PROTOCOL = { tcp: "06000000", udp: "11000000" } as const;
const PROTOCOL_NAMES = { "06": "tcp", "11": "udp" } as const;
const SCHEDULERS: ReadonlySet<string> = new Set<Scheduler>(["wlc", "rr", "sh", "mh"]);
/** Digits of a register. */
const FIELD = 8;

/** Name of the map that leads from a number below `size` to a backend. */
export function slotMap(by: "random" | "hash", family: Family, size: number): string {
  return `${by}${family}_${size}`;
}

/** All elements of a service but that of its address, which services share. */
export function elementsOf(service: Service): Placed[] {
  const { scheduler, affinity, backends, ip } = service;
  const { family } = ip;
  const key = ownerKey(service);
  const targets = backends.map(targetDigits);
  const placed: Placed[] = [{ set: `services${family}`, element: { key, comment: `${scheduler} ${affinity}` } }];
  for (const [index, { weight }] of backends.entries()) {
    placed.push({ set: `backends${family}`, element: { key: `${key}${targets[index]}`, comment: String(weight) } });
  }
  const slots = slotsOf(service);
  if (slots === undefined) return placed;
  const set = slotMap(slots.by, family, slots.backends.length);
  for (const [number, index] of slots.backends.entries()) {
    placed.push({ set, element: { key: `${key}${hostNumber(number)}`, data: targets[index] ?? "" } });
  }
  if (affinity > 0) placed.push({ set: `affine${family}_${affinity}`, element: { key } });
  return placed;
}

/** The element of set `vips4` or `vips6` that an address has. */
export function addressElement(ip: Ip): Placed {
  return { set: `vips${ip.family}`, element: { key: addressKey(ip) } };
}

/** An address as the kernel's form has it. */
export function addressKey({ family, value }: Ip): string {
  return value.toString(16).padStart(digitsOf(family), "0");
}

/** The address that a key begins with. */
export function addressOf(family: Family, key: string): Ip {
  return ipFromBytes(fromHex(key.slice(0, digitsOf(family))));
}

/** The key of a service: address, protocol and port. All its elements' keys begin with it. */
export function ownerKey({ ip, protocol, port }: ServiceKey): string {
  return `${addressKey(ip)}${PROTOCOL[protocol]}${portDigits(port)}`;
}

/** The key of the service that an element's key begins with. */
export function ownerOf(family: Family, key: string): string {
  return key.slice(0, digitsOf(family) + 2 * FIELD);
}

/** A backend as data of a map: address and port. */
export function targetDigits({ ip, port }: Pick<Backend, "ip" | "port">): string {
  return `${addressKey(ip)}${portDigits(port)}`;
}

/** Digits of an address. */
export function digitsOf(family: Family): number {
  return widthOf(family) / 4;
}

function portDigits(port: number): string {
  return `${port.toString(16).padStart(4, "0")}0000`;
}

/** What `numgen` and `jhash` give is a number of the machine's own byte order, little-endian on both architectures that
 *  we build for. */
function hostNumber(number: number): string {
  const low = number & 255;
  const high = number >> 8;
  return `${low.toString(16).padStart(2, "0")}${high.toString(16).padStart(2, "0")}0000`;
}

/** What tells an element from all others, its content included. */
export function identity({ set, element: { key, data, comment } }: Placed): string {
  return `${set} ${key} ${data ?? ""} ${comment ?? ""}`;
}

/** The service that elements say they make; undefined when they don't even name one. Whether they are all of it, and no
 *  more, is for the caller to compare. */
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
export function keyOf(family: Family, key: string): ServiceKey | undefined {
  const digits = digitsOf(family);
  const number = key.slice(digits, digits + 2);
  if (!Object.hasOwn(PROTOCOL_NAMES, number)) return undefined;
  const protocol = PROTOCOL_NAMES[number as keyof typeof PROTOCOL_NAMES];
  return { protocol, ip: addressOf(family, key), port: portAt(key, digits + FIELD) };
}

/** The backend that an element of set `backends4` or `backends6` stands for. */
export function backendOf(family: Family, { key, comment = "" }: NftRawElement): Backend {
  const target = key.slice(ownerOf(family, key).length);
  return { ip: addressOf(family, target), port: portAt(target, digitsOf(family)), weight: Number(comment) };
}

function portAt(digits: string, start: number): number {
  return Number.parseInt(digits.slice(start, start + 4), 16);
}
