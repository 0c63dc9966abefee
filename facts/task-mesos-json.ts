/** A JSON object of which nothing is known yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

const NOTHING: JsonObject = {};

/** The value as an object; an empty one when it is anything else, so that absent and mistyped members read alike. */
export function objectOf(value: unknown): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : NOTHING;
}

/** The value as a list; an empty one when it is anything else. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value as text; undefined when it is anything else. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The member reached by `keys` through nested objects; undefined when one of them is missing. */
export function memberOf(value: unknown, ...keys: readonly string[]): unknown {
  let at = value;
  for (const key of keys) at = objectOf(at)[key];
  return at;
}

/** The text in `{"value": "…"}`, the form of every Mesos identifier; undefined when it isn't Unicode (a lone
 *  surrogate), for no key could be made of it. */
export function idOf(value: unknown): string | undefined {
  const text = textOf(memberOf(value, "value"));
  return text?.isWellFormed() ? text : undefined;
}

/** A whole number from `least` to `most`; undefined when the value is anything else. Digits in a string count too:
 *  JSON printers of protocol buffers write 64-bit numbers so. */
export function wholeOf(value: unknown, least: number, most: number): number | undefined {
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most
    ? number
    : undefined;
}

/** The pairs of Mesos `Labels` (`{"labels": [{"key": "…", "value": "…"}]}`) in order; a label without value has "". */
export function labelsOf(value: unknown): readonly (readonly [key: string, value: string])[] {
  return listOf(memberOf(value, "labels")).flatMap((label) => {
    const key = textOf(memberOf(label, "key"));
    return key === undefined ? [] : [[key, textOf(memberOf(label, "value")) ?? ""] as const];
  });
}
