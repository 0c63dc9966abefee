import { type Family, formatIp, ipBytes, ipFromBytes, tryParseIp } from "../lib/address.ts";
import { cString, fromCString } from "../lib/bytes.ts";
import { readU8, readU16Network } from "./attribute.ts";

/** One of nft's data types: how a value of it is written in the language and in the kernel. */
export interface FieldType {
  readonly name: string;
  /** The number by which libnftables names it in the kernel (its include/datatype.h). */
  readonly number: number;
  /** Length in the kernel. */
  readonly bytes: number;
  /** BYTEORDER_* of libnftables: 1 host, 2 network. */
  readonly order: 1 | 2;
  readonly format: (bytes: Uint8Array) => string;
  /** Undefined when the text isn't a value of the type. */
  readonly parse: (text: string) => Uint8Array | undefined;
}

const PROTOCOL: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, "ipv6-icmp": 58, sctp: 132 };
const PROTOCOL_NAME: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(PROTOCOL).map(([name, number]) => [number, name]),
);
/** linux/if.h IFNAMSIZ, with the terminating zero. */
export const IFNAME_BYTES = 16;

const FIELD_TYPES: readonly FieldType[] = [
  { name: "ipv4_addr", number: 7, bytes: 4, order: 2, format: formatAddress, parse: parseAddress(4) },
  { name: "ipv6_addr", number: 8, bytes: 16, order: 2, format: formatAddress, parse: parseAddress(6) },
  { name: "ether_addr", number: 9, bytes: 6, order: 2, format: formatMac, parse: parseMac },
  { name: "inet_proto", number: 12, bytes: 1, order: 2, format: formatProtocol, parse: parseProtocol },
  { name: "inet_service", number: 13, bytes: 2, order: 2, format: formatPort, parse: parsePort },
  { name: "ifname", number: 41, bytes: IFNAME_BYTES, order: 1, format: fromCString, parse: parseIfname },
];

/** Bits that each field of a concatenation takes in the number of its type. */
const TYPE_BITS = 6;

/** Types of the fields of a concatenation by its number in the kernel; undefined when one of them is none of ours. */
export function fieldTypesOf(concatenation: number): FieldType[] | undefined {
  const types: FieldType[] = [];
  for (let rest = concatenation; rest !== 0; rest >>>= TYPE_BITS) {
    const type = FIELD_TYPES.find(({ number }) => number === (rest & ((1 << TYPE_BITS) - 1)));
    if (type === undefined) return undefined;
    types.unshift(type);
  }
  return types.length === 0 ? undefined : types;
}

/** Types by their names: `ipv4_addr . inet_service`. Undefined when one of them is none of ours. */
export function fieldTypesNamed(concatenation: string): FieldType[] | undefined {
  const types = concatenation.split(" . ").map((name) => FIELD_TYPES.find((type) => type.name === name));
  return types.every((type) => type !== undefined) ? types : undefined;
}

/** The number of a concatenation in the kernel. */
export function concatenationNumber(types: readonly FieldType[]): number {
  return types.reduce((number, type) => (number << TYPE_BITS) | type.number, 0);
}

/** Length of a value in the kernel. Each field of a concatenation fills whole registers of four bytes. */
export function valueLength(types: readonly FieldType[]): number {
  const [only] = types;
  if (types.length === 1 && only !== undefined) return only.bytes;
  return types.reduce((sum, { bytes }) => sum + paddedLength(bytes), 0);
}

/** The fields of a value in words. */
export function formatValue(bytes: Uint8Array, types: readonly FieldType[]): string[] {
  let offset = 0;
  return types.map((type) => {
    const text = type.format(bytes.subarray(offset, offset + type.bytes));
    offset += paddedLength(type.bytes);
    return text;
  });
}

/** The value of fields in words; undefined when one of them isn't of its type, or when there aren't as many
 *  fields as types. */
export function parseValue(fields: readonly string[], types: readonly FieldType[]): Uint8Array | undefined {
  if (fields.length !== types.length) return undefined;
  const value = new Uint8Array(valueLength(types));
  let offset = 0;
  for (const [index, type] of types.entries()) {
    const bytes = type.parse(fields[index] ?? "");
    if (bytes === undefined) return undefined;
    value.set(bytes, offset);
    offset += paddedLength(type.bytes);
  }
  return value;
}

function paddedLength(bytes: number): number {
  return (bytes + 3) & ~3;
}

function formatAddress(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : formatIp(ipFromBytes(bytes));
}

function parseAddress(family: Family): FieldType["parse"] {
  return (text) => {
    const ip = tryParseIp(text);
    return ip?.family === family ? ipBytes(ip) : undefined;
  };
}

function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function parseMac(text: string): Uint8Array | undefined {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text) ? Uint8Array.fromHex(text.replaceAll(":", "")) : undefined;
}

function formatProtocol(bytes: Uint8Array): string {
  const number = readU8(bytes);
  return PROTOCOL_NAME[number] ?? String(number);
}

function parseProtocol(text: string): Uint8Array | undefined {
  const number = PROTOCOL[text];
  return number === undefined ? undefined : new Uint8Array([number]);
}

function formatPort(bytes: Uint8Array): string {
  return String(readU16Network(bytes));
}

function parsePort(text: string): Uint8Array | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0x10000;
  return port > 0xffff ? undefined : new Uint8Array([port >> 8, port & 255]);
}

/** The name of an interface between quotes, padded with zeros as the kernel compares it; undefined with nft's
 *  wildcard or escapes. */
export function parseIfname(text: string): Uint8Array | undefined {
  const name = cString(text.slice(1, -1));
  const isName = text.length > 2 && text.startsWith('"') && text.endsWith('"') && !/["*\\]/.test(text.slice(1, -1));
  if (!isName || name.length > IFNAME_BYTES) return undefined;
  const padded = new Uint8Array(IFNAME_BYTES);
  padded.set(name);
  return padded;
}
