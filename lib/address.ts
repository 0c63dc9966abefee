import { NetError } from "./error.ts";

export type Family = 4 | 6;

/** An IPv4 or IPv6 address as a number, so that "next address" and "inside this prefix" are plain arithmetic. */
export interface Ip {
  readonly family: Family;
  /** 0 … 2^32−1 for IPv4, 0 … 2^128−1 for IPv6. */
  readonly value: bigint;
}

/** An address with a prefix length. Host bits are kept: `10.1.0.5/16` is an interface address, not only a network. */
export interface Prefix {
  readonly ip: Ip;
  /** 0 … 32 for IPv4, 0 … 128 for IPv6. */
  readonly length: number;
}

const WIDTH = { 4: 32, 6: 128 } as const;

/** Address width in bits of a family: 32 or 128. */
export function widthOf(family: Family): number {
  return WIDTH[family];
}

/** The address written in `text`, or undefined when it isn't one. Accepts dotted decimal IPv4 without leading zeros,
 *  and every IPv6 form of RFC 4291 section 2.2, without zone. An IPv4-mapped IPv6 address stays IPv6. */
export function tryParseIp(text: string): Ip | undefined {
  const value = text.includes(":") ? parse6(text) : parse4(text);
  if (value === undefined) return undefined;
  return { family: text.includes(":") ? 6 : 4, value };
}

/** Like {@link tryParseIp}, but throws a NetError `invalid` naming the text. */
export function parseIp(text: string): Ip {
  const ip = tryParseIp(text);
  if (ip === undefined) throw invalid("IP address", text, "an address such as 10.1.0.5 or fd01::5");
  return ip;
}

/** The prefix written in `text` (`10.1.0.5/16`), or undefined. */
export function tryParsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const ip = tryParseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  return length <= WIDTH[ip.family] ? { ip, length } : undefined;
}

/** Like {@link tryParsePrefix}, but throws a NetError `invalid` naming the text. */
export function parsePrefix(text: string): Prefix {
  const prefix = tryParsePrefix(text);
  if (prefix === undefined)
    throw invalid("CIDR address", text, "an address with its prefix length such as 10.1.0.0/16");
  return prefix;
}

/** Canonical text: dotted decimal, or RFC 5952 (lower case, longest run of zeros compressed). */
export function formatIp(ip: Ip): string {
  return ip.family === 4 ? format4(Number(ip.value)) : format6(ip.value);
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.ip)}/${prefix.length}`;
}

/** Four or sixteen bytes in network order. */
export function ipBytes(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(WIDTH[ip.family] / 8);
  let rest = ip.value;
  for (let index = bytes.length - 1; index >= 0; index--) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** The address in four or sixteen bytes of network order; throws a NetError `invalid` on any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length !== 4 && bytes.length !== 16)
    throw invalid("address of bytes", String(bytes.length), "4 or 16 bytes");
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** The prefix with its host bits cleared. */
export function networkOf(prefix: Prefix): Prefix {
  return { ip: { family: prefix.ip.family, value: firstValue(prefix) }, length: prefix.length };
}

/** True when no host bit is set. */
export function isNetwork(prefix: Prefix): boolean {
  return firstValue(prefix) === prefix.ip.value;
}

/** Number of addresses covered, network and broadcast included. */
export function sizeOf(prefix: Prefix): bigint {
  return 1n << BigInt(WIDTH[prefix.ip.family] - prefix.length);
}

/** Lowest address covered. */
export function firstOf(prefix: Prefix): Ip {
  return { family: prefix.ip.family, value: firstValue(prefix) };
}

/** Highest address covered: the broadcast address of an IPv4 subnet. */
export function lastOf(prefix: Prefix): Ip {
  return { family: prefix.ip.family, value: firstValue(prefix) + sizeOf(prefix) - 1n };
}

export function contains(prefix: Prefix, ip: Ip): boolean {
  if (prefix.ip.family !== ip.family) return false;
  const hostBits = BigInt(WIDTH[ip.family] - prefix.length);
  return prefix.ip.value >> hostBits === ip.value >> hostBits;
}

/** True when the two prefixes share an address. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, b.ip) : contains(b, a.ip);
}

/** The address that all hosts of an IPv4 network listen to: its last. Undefined for IPv6, which has none, and for
 *  networks of one or two addresses (RFC 3021). */
export function broadcastOf({ ip, length }: Prefix): Ip | undefined {
  if (ip.family === 6 || length > 30) return undefined;
  return { family: 4, value: ip.value | ((1n << BigInt(32 - length)) - 1n) };
}

/** The address `steps` after (or before) `ip`; undefined when that leaves the address space. */
export function offsetIp(ip: Ip, steps: bigint | number): Ip | undefined {
  const value = ip.value + BigInt(steps);
  if (value < 0n || value >> BigInt(WIDTH[ip.family]) !== 0n) return undefined;
  return { family: ip.family, value };
}

/** Order: IPv4 before IPv6, then by number. Negative, zero or positive, as for `Array.sort`. */
export function compareIp(a: Ip, b: Ip): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.value === b.value) return 0;
  return a.value < b.value ? -1 : 1;
}

export function equalIp(a: Ip, b: Ip): boolean {
  return a.family === b.family && a.value === b.value;
}

export function equalPrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && equalIp(a.ip, b.ip);
}

/** The prefix that covers exactly one address: /32 or /128. */
export function hostPrefix(ip: Ip): Prefix {
  return { ip, length: WIDTH[ip.family] };
}

/** The fewest prefixes that cover all addresses from `first` to `last`, and no others; none when `last` comes before
 *  `first`. Both are of one family. */
export function prefixesBetween(first: Ip, last: Ip): Prefix[] {
  const { family } = first;
  const prefixes: Prefix[] = [];
  for (let value = first.value; value <= last.value; ) {
    let bits = 0;
    while (
      bits < WIDTH[family] &&
      value % (2n << BigInt(bits)) === 0n &&
      value + (2n << BigInt(bits)) - 1n <= last.value
    )
      bits++;
    prefixes.push({ ip: { family, value }, length: WIDTH[family] - bits });
    value += 1n << BigInt(bits);
  }
  return prefixes;
}

/** The lower and the upper half of a prefix, host bits cleared: `9.0.1.0/24` → `9.0.1.0/25` and `9.0.1.128/25`. DC/OS
 *  gives the lower half of a node's subnet to Mesos and CNI, the upper half to Docker. Throws a NetError `invalid`
 *  for a prefix of one address. */
export function halves(prefix: Prefix): readonly [Prefix, Prefix] {
  const { family } = prefix.ip;
  const length = prefix.length + 1;
  if (length > WIDTH[family]) throw invalid("prefix to halve", formatPrefix(prefix), "one of two addresses or more");
  const lower = firstValue(prefix);
  const upper = lower + (1n << BigInt(WIDTH[family] - length));
  return [
    { ip: { family, value: lower }, length },
    { ip: { family, value: upper }, length },
  ];
}

function firstValue({ ip, length }: Prefix): bigint {
  const hostBits = BigInt(WIDTH[ip.family] - length);
  return (ip.value >> hostBits) << hostBits;
}

function invalid(kind: string, text: string, expected: string): NetError {
  return new NetError("invalid", {
    tried: `read ${JSON.stringify(text.slice(0, 100))} as ${kind}`,
    said: "it isn't one",
    remedy: `give ${expected}`,
  });
}

function parse4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return BigInt(value);
}

function parse6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groups6(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groups6(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array<number>(missing).fill(0), ...tail]) value = (value << 16n) | BigInt(group);
  return value;
}

/** The 16-bit groups of one side of `::`; only the last side may end in dotted decimal (RFC 4291 section 2.2.3). */
function groups6(text: string, last: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const v4 = last && index === parts.length - 1 ? parse4(part) : undefined;
      if (v4 === undefined) return undefined;
      groups.push(Number(v4 >> 16n), Number(v4 & 0xffffn));
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

function format4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function format6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  const zeros = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (zeros.length < 2) return hex.join(":");
  return `${hex.slice(0, zeros.start).join(":")}::${hex.slice(zeros.start + zeros.length).join(":")}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let index = 0; index <= groups.length; index++) {
    if (groups[index] === 0) continue;
    if (index - start > best.length) best = { start, length: index - start };
    start = index + 1;
  }
  return best;
}
