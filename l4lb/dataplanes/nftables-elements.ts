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

/** What chooses a service's backends: a map, and the backend (`targetDigits`) that it has under each number from 0
 *  on. */
export interface Lead {
  readonly set: string;
  readonly targets: readonly string[];
}

/** How the backends of a service that isn't large are chosen; undefined when none takes connections. */
export function leadOf(service: Service): Lead | undefined {
  const slots = slotsOf(service);
  if (slots === undefined) return undefined;
  const targets = service.backends.map(targetDigits);
  const set = `${slots.by}${service.ip.family}_${slots.backends.length}`;
  return { set, targets: slots.backends.map((index) => targets[index] ?? "") };
}

/** A service with how its backends are chosen; undefined when none takes connections. */
export interface Held {
  readonly service: Service;
  readonly lead: Lead | undefined;
}

/** All elements of a service but that of its address, which services share. */
export function elementsOf({ service, lead }: Held): Placed[] {
  const key = ownerKey(service);
  return [
    headElement(service),
    ...service.backends.map((backend) => backendElement(service.ip.family, key, backend)),
    ...(lead?.targets.map((_, number) => slotElement(key, lead, number)) ?? []),
    ...(lead === undefined ? [] : affinityElements(service)),
  ];
}

/** The element that says how a service balances. */
export function headElement(service: Service): Placed {
  const { scheduler, affinity, ip } = service;
  const element = { key: ownerKey(service), comment: `${scheduler} ${affinity}` };
  return { set: `services${ip.family}`, element };
}

/** The element of one backend. `key`: its service's. */
export function backendElement(family: Family, key: string, backend: Backend): Placed {
  const element = { key: `${key}${targetDigits(backend)}`, comment: String(backend.weight) };
  return { set: `backends${family}`, element };
}

/** The element that leads to a backend by a number. `key`: its service's. */
export function slotElement(key: string, { set, targets }: Lead, number: number): Placed {
  return { set, element: { key: `${key}${hostNumber(number)}`, data: targets[number] ?? "" } };
}

/** The element that says that clients of a service stay with their backend, if they do. */
export function affinityElements(service: Service): Placed[] {
  const { affinity, ip } = service;
  return affinity === 0 ? [] : [{ set: `affine${ip.family}_${affinity}`, element: { key: ownerKey(service) } }];
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
  const network = number.toString(16).padStart(FIELD, "0");
  return `${network.slice(6)}${network.slice(4, 6)}${network.slice(2, 4)}${network.slice(0, 2)}`;
}

/** The number at the end of a slot's key. */
export function numberIn(key: string): number {
  const digits = key.slice(-FIELD);
  return Number.parseInt(`${digits.slice(6)}${digits.slice(4, 6)}${digits.slice(2, 4)}${digits.slice(0, 2)}`, 16);
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
