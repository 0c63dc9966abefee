import { NetError } from "../../lib/error.ts";

/** Longest value of a filter, characters: that of the longest cursor, a fact's kind and key. */
const LONGEST_VALUE = 1100;

/** The parameters of a request's query, each at most once. Throws a NetError `invalid` for one that isn't in `known`: a
 *  misspelt filter would otherwise show everything. */
export function readQuery<Key extends string>(
  query: URLSearchParams,
  known: readonly Key[],
): Readonly<Partial<Record<Key, string>>> {
  const values: Partial<Record<Key, string>> = {};
  for (const [name, value] of query) {
    const key = known.find((each) => each === name);
    if (key === undefined) throw wrong(name, "is not known here", knownText(known));
    if (values[key] !== undefined) throw wrong(name, "is there twice");
    if (value.length > LONGEST_VALUE) throw wrong(name, `has more than ${LONGEST_VALUE} characters`);
    values[key] = value;
  }
  return values;
}

/** A whole number from `least` to `most`; `fallback` when it isn't given. */
export function readNumber(
  name: string,
  value: string | undefined,
  { least, most, fallback }: { readonly least: number; readonly most: number; readonly fallback: number },
): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (/^\d{1,9}$/.test(value) && number >= least && number <= most) return number;
  throw wrong(name, `must be a whole number from ${least} to ${most}`);
}

/** One of `choices`; undefined when it isn't given. */
export function readChoice<Choice extends string>(
  name: string,
  value: string | undefined,
  choices: readonly Choice[],
): Choice | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((each) => each === value);
  if (choice === undefined) throw wrong(name, `must be one of ${choices.join(", ")}`);
  return choice;
}

function knownText(known: readonly string[]): string {
  return known.length === 0 ? "this route takes none" : `known are ${known.join(", ")}`;
}

function wrong(name: string, said: string, remedy?: string): NetError {
  return new NetError("invalid", {
    tried: `read the query parameter ${JSON.stringify(name.slice(0, 60))}`,
    said: `it ${said}`,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
