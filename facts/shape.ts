import { formatIp, formatPrefix, tryParseIp, tryParsePrefix } from "../lib/address.ts";

/** What is wrong with a value, and where in it: `ports[3].protocol`. */
export class ShapeError extends Error {
  readonly at: string;
  readonly problem: string;

  constructor(at: string, problem: string) {
    super(at === "" ? problem : `${at}: ${problem}`);
    this.name = "ShapeError";
    this.at = at;
    this.problem = problem;
  }
}

/** Takes a value of unknown origin and gives it back as T in canonical form, or throws a ShapeError that names the
 *  place `at`. Parsers never change what they are given. */
export type Parser<T> = (value: unknown, at: string) => T;

/** A field that may be missing (or undefined), and then stays missing. */
export interface Maybe<T> {
  readonly maybe: Parser<T>;
}

/** One parser for each field of T, in the canonical order of the fields. */
export type Shape<T> = {
  readonly [K in keyof T]-?: object extends Pick<T, K> ? Maybe<Exclude<T[K], undefined>> : Parser<T[K]>;
};

export function maybe<T>(parser: Parser<T>): Maybe<T> {
  return { maybe: parser };
}

/** Text without control characters, `least` … `most` UTF-16 units long, that is valid Unicode. */
export function text(most: number, least = 1): Parser<string> {
  return (value, at) => {
    if (typeof value !== "string") throw new ShapeError(at, `expected text, got ${kindOf(value)}`);
    if (value.length < least) throw new ShapeError(at, "is empty");
    if (value.length > most) throw new ShapeError(at, `is longer than ${most} characters`);
    if (/\p{Cc}/u.test(value)) throw new ShapeError(at, "contains a control character");
    if (!value.isWellFormed()) throw new ShapeError(at, "is not valid Unicode");
    return value;
  };
}

/** Text that matches `pattern` as a whole; `expected` says so in words. */
export function matching(pattern: RegExp, expected: string, most: number): Parser<string> {
  const plain = text(most);
  return (value, at) => {
    const found = plain(value, at);
    if (!pattern.test(found)) throw new ShapeError(at, `is ${quote(found)}; expected ${expected}`);
    return found;
  };
}

/** A whole number. */
export function integer(least: number, most: number): Parser<number> {
  return (value, at) => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most)
      throw new ShapeError(at, `expected a whole number ${least} to ${most}, got ${quote(value)}`);
    return value;
  };
}

export function flag(value: unknown, at: string): boolean {
  if (typeof value !== "boolean") throw new ShapeError(at, `expected true or false, got ${quote(value)}`);
  return value;
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Parser<T> {
  return (value, at) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw new ShapeError(at, `expected one of ${words.join(", ")}, got ${quote(value)}`);
    return found;
  };
}

/** Every empty list: most tasks have several. */
const NOTHING: readonly never[] = [];

export function list<T>(item: Parser<T>, most: number, least = 0): Parser<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw new ShapeError(at, `expected a list, got ${kindOf(value)}`);
    if (value.length < least) throw new ShapeError(at, "is an empty list");
    if (value.length > most) throw new ShapeError(at, `has more than ${most} entries`);
    return value.length === 0 ? NOTHING : value.map((entry, index) => item(entry, `${at}[${index}]`));
  };
}

/** Gives what it gave last when it is equal: what facts that come one after the other have in common, such as the agent
 *  of a node's tasks, is then in memory once. */
export function repeated<T>(parser: Parser<T>): Parser<T> {
  let last: T | undefined;
  return (value, at) => {
    const found = parser(value, at);
    if (last === undefined || !Bun.deepEquals(found, last, true)) last = found;
    return last;
  };
}

/** A list in which order says nothing: comes out sorted by UTF-16 units, each once. */
export function textSet(item: Parser<string>, most: number): Parser<readonly string[]> {
  const all = list(item, most);
  return (value, at) => {
    const found = all(value, at);
    return found.length < 2 ? found : [...new Set(found)].sort();
  };
}

/** A map from text to text, keys sorted. */
export function textRecord(item: Parser<string>, most: number): Parser<Readonly<Record<string, string>>> {
  return (value, at) => {
    const names = Object.keys(plainObject(value, at)).sort();
    if (names.length > most) throw new ShapeError(at, `has more than ${most} entries`);
    return Object.fromEntries(names.map((name) => [item(name, at), item(fieldOf(value, name), `${at}.${name}`)]));
  };
}

/** An object with the fields of `shape`. Fields that it doesn't know are dropped, or refused when `strict`. */
export function object<T>(shape: Shape<T>, strict: "strict" | "lenient" = "lenient"): Parser<T> {
  const fields = Object.entries(shape) as readonly [string, Parser<unknown> | Maybe<unknown>][];
  const known = new Set(fields.map(([name]) => name));
  return (value, at) => {
    const given = plainObject(value, at);
    const unknown = strict === "strict" ? Object.keys(given).find((name) => !known.has(name)) : undefined;
    if (unknown !== undefined)
      throw new ShapeError(join(at, unknown), `is not a known key; known are ${[...known].join(", ")}`);
    const entries: [string, unknown][] = [];
    for (const [name, parser] of fields) {
      const field = fieldOf(given, name);
      if (typeof parser === "function") entries.push([name, parser(required(field, join(at, name)), join(at, name))]);
      else if (field !== undefined) entries.push([name, parser.maybe(field, join(at, name))]);
    }
    return Object.fromEntries(entries) as T;
  };
}

/** IPv4 or IPv6 address in canonical text. */
export function ipText(value: unknown, at: string): string {
  const ip = typeof value === "string" ? tryParseIp(value) : undefined;
  if (ip === undefined) throw new ShapeError(at, `expected an IP address, got ${quote(value)}`);
  return formatIp(ip);
}

/** Address with prefix length in canonical text, of one family when given. */
export function prefixText(family?: 4 | 6): Parser<string> {
  return (value, at) => {
    const prefix = typeof value === "string" ? tryParsePrefix(value) : undefined;
    if (prefix === undefined || (family !== undefined && prefix.ip.family !== family))
      throw new ShapeError(
        at,
        `expected an IPv${family ?? "4 or IPv6"} address with prefix length, got ${quote(value)}`,
      );
    return formatPrefix(prefix);
  };
}

/** The value as an object with named fields. */
export function plainObject(value: unknown, at: string): object {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ShapeError(at, `expected an object, got ${kindOf(value)}`);
  return value;
}

/** What an object has under a name of its own, not under one that every object inherits. */
export function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function required(value: unknown, at: string): unknown {
  if (value === undefined) throw new ShapeError(at, "is missing");
  return value;
}

function join(at: string, name: string): string {
  return at === "" ? name : `${at}.${name}`;
}

/** A value in a message, cut to a readable length. */
function quote(value: unknown): string {
  const words = typeof value === "object" ? kindOf(value) : (JSON.stringify(value) ?? kindOf(value));
  return words.length > 80 ? `${words.slice(0, 80)}…` : words;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return value === undefined ? "nothing" : typeof value;
}
