import { Refusal } from "./fake-refusal.ts";

/** One command of nft's language, taken apart as far as the kernel in memory looks at it. */
export interface NftCommand {
  readonly verb: string;
  readonly object: string;
  readonly family: string;
  readonly table: string;
  /** Chain, set or map; empty where the command is about a table. */
  readonly name: string;
  /** What stands between the braces of a definition. */
  readonly block: string;
  /** What follows the name: a rule, or `handle N`. */
  readonly rest: string;
}

/** An element as written. */
export interface WrittenElement {
  readonly key: readonly string[];
  readonly data: readonly string[];
  readonly comment: string | undefined;
}

const FAMILIES = new Set(["ip", "ip6", "inet", "arp", "bridge", "netdev"]);
/** `destroy` came with nft 1.0.7; the one of Debian 12 takes it for a syntax error, and so does this. */
const VERBS: Readonly<Record<string, readonly string[]>> = {
  add: ["table", "chain", "rule", "set", "map", "element"],
  create: ["table", "chain", "set", "map", "element"],
  insert: ["rule"],
  delete: ["table", "chain", "rule", "set", "map", "element"],
  flush: ["table", "chain", "set", "map"],
};
/** Objects that nft knows and this interpreter doesn't. */
const UNKNOWN = new Set(["ruleset", "counter", "quota", "limit", "flowtable", "ct", "synproxy", "secmark"]);

/** The commands of one input, separated by line ends and semicolons outside braces and quotes. */
export function parseNft(input: string): NftCommand[] {
  return split(input, ";\n")
    .filter((text) => text !== "" && !text.startsWith("#"))
    .map(parseCommand);
}

function parseCommand(text: string): NftCommand {
  const words = text.split(/\s+/, 6);
  const [verb = "", object = "", third = ""] = words;
  if (VERBS[verb] !== undefined && UNKNOWN.has(object))
    throw new Error(`the kernel in memory knows no ${verb} ${object}`);
  if (VERBS[verb]?.includes(object) !== true) throw syntaxError(text);
  const named = FAMILIES.has(third);
  const family = named ? third : "ip";
  const skip = named ? 3 : 2;
  const count = object === "table" ? skip + 1 : skip + 2;
  const { head, tail } = cut(text, count);
  const table = head[skip];
  const name = head[skip + 1] ?? "";
  if (table === undefined || (object !== "table" && name === "")) throw syntaxError(text);
  const definition = object === "rule" ? undefined : /^\{([\s\S]*)\}$/.exec(tail)?.[1];
  if (object !== "rule" && tail !== "" && definition === undefined) throw syntaxError(text);
  if ((object === "element" && definition === undefined) || (object === "rule" && tail === "")) throw syntaxError(text);
  return { verb, object, family, table, name, block: (definition ?? "").trim(), rest: tail };
}

/** The first `count` words and what follows them. A brace ends a word. */
function cut(text: string, count: number): { readonly head: readonly string[]; readonly tail: string } {
  const head: string[] = [];
  let tail = text;
  while (head.length < count) {
    const word = /^\s*([^\s{}]+)/.exec(tail);
    if (word === null) break;
    head.push(word[1] ?? "");
    tail = tail.slice(word[0].length);
  }
  return { head, tail: tail.trim() };
}

/** A set's definition with its initial elements apart; white space is made uniform so that equal ones compare equal. */
export function setDefinition(block: string): { readonly definition: string; readonly elements: string } {
  const parts = split(block, ";\n").filter((part) => part !== "");
  const initial = parts.find((part) => part.startsWith("elements"));
  const definition = parts.filter((part) => part !== initial).map((part) => part.replace(/\s+/g, " "));
  return {
    definition: definition.join("; "),
    elements: /^elements\s*=\s*\{([\s\S]*)\}$/.exec(initial ?? "")?.[1]?.trim() ?? "",
  };
}

/** The elements between the braces: `key [comment "…"] [: data]`, separated by commas. */
export function parseElements(block: string): WrittenElement[] {
  return split(block, ",")
    .filter((text) => text !== "")
    .map(parseElement);
}

function parseElement(text: string): WrittenElement {
  const parts = /^(.*?)(?:\s+comment\s+"([^"]*)")?(?:\s+:\s+(.*)|:\s+(.*))?$/s.exec(text);
  const [, key = "", comment, spaced, tight] = parts ?? [];
  return { key: fields(key), data: fields(spaced ?? tight ?? ""), comment };
}

function fields(text: string): string[] {
  if (text.trim() === "") return [];
  return text.split(/\s+\.\s+/).map((field) =>
    field
      .trim()
      .replace(/\s+/g, " ")
      .replace(/^"(.*)"$/, "$1"),
  );
}

/** Pieces between separators that stand outside braces and quotes, trimmed. */
function split(text: string, separators: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (character === '"') quoted = !quoted;
    if (quoted) continue;
    if (character === "{") depth++;
    if (character === "}") depth--;
    if (depth > 0 || !separators.includes(character)) continue;
    pieces.push(text.slice(start, index).trim());
    start = index + 1;
  }
  if (depth !== 0 || quoted) throw syntaxError(text);
  pieces.push(text.slice(start).trim());
  return pieces;
}

/** nft refuses what it can't read before the kernel sees any of it. */
function syntaxError(text: string): Refusal {
  return new Refusal("EINVAL", `Error: syntax error in ${JSON.stringify(text.slice(0, 100))}`);
}
