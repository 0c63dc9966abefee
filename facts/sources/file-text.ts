import { isAlias, isMap, isNode, isSeq, LineCounter, parseDocument } from "yaml";
import { ShapeError } from "../shape.ts";
import type { Task } from "../task.ts";
import type { LocalAgent } from "./agent.ts";
import { tasksOf } from "./file-definition.ts";

/** What stands in the way of using a file. */
export interface FileProblem {
  /** From 1. */
  readonly line: number;
  /** Place in the content: `tasks[3].ports[0].protocol`; empty for the file as a whole, or when it isn't YAML. */
  readonly key: string;
  readonly said: string;
}

export type FileContent = { readonly tasks: readonly Task[] } | { readonly problem: FileProblem };

type Document = ReturnType<typeof parseDocument>;

/** The tasks in the content of a file, or what is wrong with it. JSON is YAML 1.2, but has a parser of its own for as
 *  long as nothing is wrong, because that of YAML takes ten times as long and four times as much memory. */
export function readDefinitions(bytes: Uint8Array, stem: string, agent: LocalAgent): FileContent {
  const text = textOf(bytes);
  if (text === undefined) return { problem: { line: 1, key: "", said: "it is not UTF-8" } };
  return readJson(text, stem, agent) ?? readYaml(text, stem, agent);
}

/** Undefined for what has to be read as YAML, if only to say what is wrong with it and where. */
function readJson(text: string, stem: string, agent: LocalAgent): FileContent | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  try {
    const content: unknown = JSON.parse(text);
    return hasKeyTwice(text, content) ? undefined : { tasks: tasksOf(content, stem, agent) };
  } catch (cause) {
    if (cause instanceof SyntaxError || cause instanceof ShapeError) return undefined;
    throw cause;
  }
}

/** JSON.parse takes the last of several values for a key without a word: then the text has more keys than its content.
 *  In JSON a text is followed by a colon only where it is a key. */
function hasKeyTwice(text: string, content: unknown): boolean {
  let keys = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:?/g)) if (token.endsWith(":")) keys += 1;
  const values = [content];
  for (let value = values.pop(); value !== undefined; value = values.pop()) {
    if (typeof value !== "object" || value === null) continue;
    const inside: unknown[] = Object.values(value);
    if (!Array.isArray(value)) keys -= inside.length;
    for (const each of inside) if (typeof each === "object" && each !== null) values.push(each);
  }
  return keys !== 0;
}

function readYaml(text: string, stem: string, agent: LocalAgent): FileContent {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, version: "1.2", merge: false });
  const [error] = document.errors;
  if (error !== undefined)
    return { problem: { line: lines.linePos(error.pos[0]).line, key: "", said: firstLine(error.message) } };
  try {
    return { tasks: tasksOf(contentOf(document), stem, agent) };
  } catch (cause) {
    if (!(cause instanceof ShapeError)) throw cause;
    const line = lines.linePos(offsetOf(document, cause.at)).line;
    return { problem: { line: Math.max(1, line), key: cause.at, said: cause.problem } };
  }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Aliases are limited, because few bytes of them can stand for very much content. */
function contentOf(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new ShapeError("", cause instanceof Error ? cause.message : String(cause));
  }
}

/** Where in the text a place is: the deepest part of it that is there, since what is missing is nowhere. */
function offsetOf(document: Document, at: string): number {
  const names = at.match(/[^.[\]]+/g) ?? [];
  let node: unknown = document.contents;
  let offset = 0;
  for (const name of names) {
    const found = isAlias(node) ? undefined : childOf(node, name);
    if (found === undefined) break;
    offset = found.offset;
    node = found.value;
  }
  return offset;
}

function childOf(node: unknown, name: string): { offset: number; value: unknown } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(name)];
    return isNode(item) ? { offset: item.range?.[0] ?? 0, value: item } : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isNode(key) && String(key) === name);
  if (pair === undefined || !isNode(pair.key)) return undefined;
  return { offset: pair.key.range?.[0] ?? 0, value: pair.value };
}

function firstLine(message: string): string {
  return message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? message;
}
