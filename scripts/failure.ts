import { reporters } from "mocha";

/** Lines of an error's message, and of its difference, at most. */
const ERROR_LINES = 40;
const COLUMNS = 400;
/** Places of the tree that are named, from where the error was thrown outwards. */
const PLACES = 6;
const IN_TREE = /^\s*at .*\b(?:test|bin|lib|kernel|ipam|cni|cnm-driver|facts|gossip|overlay|dns|l4lb|scripts)\//;

/** What an assertion of chai throws, and what any other error lacks. */
interface Failure {
  readonly message?: string;
  readonly stack?: string;
  readonly actual?: unknown;
  readonly expected?: unknown;
  readonly showDiff?: boolean;
}

/** What to know of a failed test's error: its message, how what came differs from what was expected, and the places in
 *  this tree. Bounded, without colours. */
export function failureText(thrown: unknown): string {
  const failure: Failure = typeof thrown === "object" && thrown !== null ? thrown : { message: String(thrown) };
  const message = bounded(failure.message ?? String(thrown), ERROR_LINES);
  const places = (failure.stack ?? "")
    .split("\n")
    .filter((line) => IN_TREE.test(line) && !line.includes("node_modules"));
  return [message, ...difference(failure), ...places.slice(0, PLACES).map((line) => line.trim())].join("\n");
}

function difference({ actual, expected, showDiff }: Failure): string[] {
  if (expected === undefined || showDiff === false) return [];
  const text = reporters.Base.generateDiff(shown(actual), shown(expected));
  return [bounded(Bun.stripANSI(text).replaceAll(/^ {6}/gm, "").trim(), ERROR_LINES)];
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : Bun.inspect(value, { depth: 8, sorted: true });
}

/** The first `lines` lines of a text, none of them longer than the output can bear. */
export function bounded(text: string, lines: number): string {
  const all = text.split("\n");
  const kept = all.slice(0, lines).map((line) => (line.length > COLUMNS ? `${line.slice(0, COLUMNS)}…` : line));
  return all.length > lines ? [...kept, `… and ${all.length - lines} lines more`].join("\n") : kept.join("\n");
}
