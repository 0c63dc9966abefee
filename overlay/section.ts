import { type Family, type Ip, networkOf, type Prefix, tryParseIp, tryParsePrefix } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";

const MOST_PROBLEMS_SHOWN = 20;

/** One JSON object of a configuration file under checking. A getter gives the value, or undefined when the key is
 *  absent or wrong; what is wrong is added to the shared list of problems as `<path>: <reason>`, so that all are
 *  reported at once. */
export class Section {
  /** Where the object stands: `nodes[3]`; empty for the file itself. */
  readonly where: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #problems: string[];

  constructor(where: string, values: Readonly<Record<string, unknown>>, problems: string[]) {
    this.where = where;
    this.#values = values;
    this.#problems = problems;
  }

  /** Full name of a key: `nodes[3].address`. */
  path(key: string): string {
    return this.where === "" ? key : `${this.where}.${key}`;
  }

  problem(key: string, reason: string): undefined {
    this.#problems.push(`${this.path(key)}: ${reason}`);
    return undefined;
  }

  has(key: string): boolean {
    return this.#values[key] !== undefined;
  }

  keys(): string[] {
    return Object.keys(this.#values);
  }

  /** Refuses every other key: a misspelt one would otherwise be ignored in silence. */
  allow(keys: readonly string[]): void {
    for (const key of this.keys()) {
      if (!keys.includes(key)) this.problem(key, `is not known here; known are ${keys.join(", ")}`);
    }
  }

  required(key: string): void {
    if (!this.has(key)) this.problem(key, "is required");
  }

  text(key: string): string | undefined {
    const value = this.#values[key];
    if (value === undefined || typeof value === "string") return value;
    return this.problem(key, `must be text, not ${shown(value)}`);
  }

  flag(key: string): boolean | undefined {
    const value = this.#values[key];
    if (value === undefined || typeof value === "boolean") return value;
    return this.problem(key, `must be true or false, not ${shown(value)}`);
  }

  integer(key: string, least: number, most: number): number | undefined {
    const value = this.#values[key];
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    return this.problem(key, `must be a whole number from ${least} to ${most}, not ${shown(value)}`);
  }

  ip(key: string, family: Family): Ip | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const ip = tryParseIp(text);
    return ip?.family === family ? ip : this.problem(key, `must be an IPv${family} address, not ${shown(text)}`);
  }

  /** A network; host bits are cleared, as the reference does. */
  network(key: string, family: Family): Prefix | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const prefix = tryParsePrefix(text);
    if (prefix?.ip.family === family) return networkOf(prefix);
    return this.problem(key, `must be an IPv${family} network such as ${EXAMPLE[family]}, not ${shown(text)}`);
  }

  section(key: string): Section | undefined {
    const value = this.#values[key];
    if (value === undefined) return undefined;
    if (isObject(value)) return new Section(this.path(key), value, this.#problems);
    return this.problem(key, `must be an object, not ${shown(value)}`);
  }

  /** The objects of a list of at most `most`. An element that is no object is reported and left out. */
  sections(key: string, most: number): Section[] | undefined {
    const value = this.#values[key];
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return this.problem(key, `must be a list, not ${shown(value)}`);
    if (value.length > most) return this.problem(key, `has ${value.length} entries, at most ${most} are allowed`);
    const list: Section[] = [];
    for (const [index, element] of value.entries()) {
      const path = `${key}[${index}]`;
      if (isObject(element)) list.push(new Section(this.path(path), element, this.#problems));
      else this.problem(path, `must be an object, not ${shown(element)}`);
    }
    return list;
  }
}

const EXAMPLE = { 4: "9.0.0.0/8", 6: "fd01:b::/64" } as const;

/** The NetError `invalid` for a configuration from `source` with these problems, each named once. */
export function refusal(source: string, problems: readonly string[]): NetError {
  const distinct = [...new Set(problems)];
  const shown = distinct.slice(0, MOST_PROBLEMS_SHOWN);
  const more = distinct.length - shown.length;
  return new NetError("invalid", {
    tried: `use ${source}`,
    said: `${shown.join("; ")}${more > 0 ? `; and ${more} more problems` : ""}`,
    remedy: "correct the keys named; the present configuration stays in force",
  });
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
