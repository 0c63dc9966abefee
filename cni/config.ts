import { type Ip, type Prefix, tryParseIp, tryParsePrefix } from "../lib/address.ts";
import { messageOf, NetError } from "../lib/error.ts";
import { CNI_ERROR, CniError } from "./error.ts";

/** A JSON object of the configuration with the place where it stands, so that every complaint can name its key.
 *
 *  Keys are looked up as the reference plugins do, whose JSON decoder ignores case: an exact spelling wins,
 *  otherwise the last key that differs only in case. (The reference lets the last of all spellings win; runtimes
 *  re-sort keys, so that order says nothing.) `null` counts as absent, and so does an empty string: Go programs
 *  can't tell the two apart. Unknown keys are kept and ignored. */
export interface Section {
  /** Path from the top, empty for the whole configuration: `ipam.ranges[0][1]`. */
  readonly at: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Reads one value of a kind or throws `invalid` naming `at`, its place. */
export type Decode<T> = (value: unknown, at: string) => T;

/** Deepest nesting accepted: real configurations have about eight levels. Bounds every walk over them. */
const DEPTH_LIMIT = 32;
/** Longest part of a bad value that a message repeats, in characters. */
const SHOWN_LIMIT = 100;
const utf8 = new TextDecoder();

/** Parses the bytes of standard input; throws code 6 when they aren't one JSON object or are nested too deep. */
export function parseConfig(bytes: Uint8Array): { readonly text: string; readonly config: Section } {
  const text = utf8.decode(bytes);
  return { text, config: { at: "", fields: parseObject(text, "network config") } };
}

/** Parses text that must be one JSON object; `what` names it in the code 6 that is thrown otherwise. */
export function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(CNI_ERROR.decoding, `cannot decode ${what}: ${messageOf(error)}`);
  }
  if (!isObject(value))
    throw new CniError(CNI_ERROR.decoding, `cannot decode ${what}: ${show(value)} is not an object`);
  if (isDeeper(value, DEPTH_LIMIT)) {
    throw new CniError(CNI_ERROR.decoding, `cannot decode ${what}: it is nested deeper than ${DEPTH_LIMIT} levels`);
  }
  return value;
}

/** Where `key` of `section` stands, for messages. */
export function placeOf(section: Section, key: string): string {
  return section.at === "" ? key : `${section.at}.${key}`;
}

/** The raw value of a key by the rules of {@link Section}; undefined when absent. */
export function field(section: Section, key: string): unknown {
  const { fields } = section;
  const spelling = Object.hasOwn(fields, key) ? key : foldedKey(fields, key);
  const value = spelling === undefined ? undefined : fields[spelling];
  return value === null || value === "" ? undefined : value;
}

function foldedKey(fields: Section["fields"], key: string): string | undefined {
  const folded = key.toLowerCase();
  return Object.keys(fields).findLast((name) => name.length === key.length && name.toLowerCase() === folded);
}

/** The decoded value of a key, or undefined when it is absent. */
export function optional<T>(section: Section, key: string, decode: Decode<T>): T | undefined {
  const value = field(section, key);
  return value === undefined ? undefined : decode(value, placeOf(section, key));
}

/** The decoded value of a key; throws `invalid` when it is absent. */
export function required<T>(section: Section, key: string, decode: Decode<T>): T {
  const value = optional(section, key, decode);
  if (value !== undefined) return value;
  throw new NetError("invalid", {
    tried: `read ${placeOf(section, key)}`,
    said: "it is missing",
  });
}

/** The object of a key, which is empty when the key is absent. */
export function child(section: Section, key: string): Section {
  return optional(section, key, asSection) ?? { at: placeOf(section, key), fields: {} };
}

/** The decoded elements of a list, which is empty when the key is absent. */
export function listOf<T>(section: Section, key: string, decode: Decode<T>): readonly T[] {
  return optional(section, key, arrayOf(decode)) ?? [];
}

/** Decodes a list element by element. */
export function arrayOf<T>(decode: Decode<T>): Decode<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw unexpected(value, at, "a list");
    return value.map((element: unknown, index) => decode(element, `${at}[${index}]`));
  };
}

/** Decodes a JSON object. */
export const asSection: Decode<Section> = (value, at) => {
  if (!isObject(value)) throw unexpected(value, at, "an object");
  return { at, fields: value };
};

/** Decodes a string. */
export const asText: Decode<string> = (value, at) => {
  if (typeof value !== "string") throw unexpected(value, at, "a string");
  return value;
};

/** Decodes a boolean; as Go, not its name in a string. */
export const asFlag: Decode<boolean> = (value, at) => {
  if (typeof value !== "boolean") throw unexpected(value, at, "true or false");
  return value;
};

/** Decodes a whole number from `least` to `most`, both included. */
export function asInteger(least: number, most: number): Decode<number> {
  return (value, at) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    throw unexpected(value, at, `a whole number from ${least} to ${most}`);
  };
}

/** Decodes one of a few words, in any case; the answer is in the case of `words`. */
export function asWord<const W extends string>(words: readonly W[]): Decode<W> {
  return (value, at) => {
    const folded = asText(value, at).toLowerCase();
    const word = words.find((candidate) => candidate.toLowerCase() === folded);
    if (word === undefined) throw unexpected(value, at, `one of ${words.join(", ")}`);
    return word;
  };
}

/** Decodes an address without prefix length. */
export const asIp: Decode<Ip> = (value, at) => {
  const ip = typeof value === "string" ? tryParseIp(value) : undefined;
  if (ip === undefined) throw unexpected(value, at, "an IP address such as 10.1.0.5 or fd01::5");
  return ip;
};

/** Decodes a CIDR address; host bits are kept. */
export const asPrefix: Decode<Prefix> = (value, at) => {
  const prefix = typeof value === "string" ? tryParsePrefix(value) : undefined;
  if (prefix === undefined) throw unexpected(value, at, "a CIDR address such as 10.1.0.0/16");
  return prefix;
};

/** Decodes an address whose prefix length, if given, is of no interest. */
export const asIpOrPrefix: Decode<Ip> = (value, at) => {
  const ip = typeof value === "string" ? (tryParsePrefix(value)?.ip ?? tryParseIp(value)) : undefined;
  if (ip === undefined) throw unexpected(value, at, "an IP address, with or without its prefix length");
  return ip;
};

/** Decodes the hardware address of one interface: six bytes, neither multicast nor zero, which the kernel would refuse.
 *  The answer is colon-separated and in lower case. */
export const asMac: Decode<string> = (value, at) => {
  const mac = typeof value === "string" ? value.toLowerCase().replaceAll("-", ":") : "";
  const valid = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(mac) && mac !== "00:00:00:00:00:00";
  if (!valid) throw unexpected(value, at, "a unicast hardware address such as 02:42:0a:01:00:05");
  return mac;
};

/** The error for a value of the wrong kind: names the key, the value and what is expected. */
export function unexpected(value: unknown, at: string, expected: string): NetError {
  return new NetError("invalid", {
    tried: `read ${at}`,
    said: `it is ${show(value)}`,
    remedy: `give ${expected}`,
  });
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length <= SHOWN_LIMIT ? text : `${text.slice(0, SHOWN_LIMIT)}…`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((element) => isDeeper(element, levels - 1));
}
