/** A text file of the tree; `path` is relative to its root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** One import of a TypeScript file, static, dynamic or re-export. */
export interface Import {
  /** As written: `./range.ts`, `node:fs`, `commander`. */
  readonly specifier: string;
  /** Path in the tree when the specifier is relative. */
  readonly target: string | undefined;
  /** `import type` and `export type`: gone after compilation. */
  readonly typeOnly: boolean;
  /** `import(...)` and `require(...)`: loaded only when the line is reached. */
  readonly dynamic: boolean;
}

const STATIC = /^(?:import|export)\b(\s+type\b)?[^"';]*?\bfrom\s+"([^"]+)"/gm;
const BARE = /^import\s+"([^"]+)"/gm;
const DYNAMIC = /\b(?:import|require)\(\s*"([^"]+)"/g;
const STRING_OR_COMMENT = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

/** The text with its comments blanked out, so that a comment may name what code may not use. */
export function withoutComments(text: string): string {
  return text.replace(STRING_OR_COMMENT, (_match, string: string | undefined) => string ?? " ");
}

/** Every import of a file, in no order. Relies on the formatter's layout: imports begin a line, in double quotes. */
export function importsOf(file: SourceFile): Import[] {
  const code = withoutComments(file.text);
  const found = (specifier: string, typeOnly: boolean, dynamic: boolean): Import => ({
    specifier,
    target: specifier.startsWith(".") ? resolve(file.path, specifier) : undefined,
    typeOnly,
    dynamic,
  });
  return [
    ...[...code.matchAll(STATIC)].map(([, type, specifier = ""]) => found(specifier, type !== undefined, false)),
    ...[...code.matchAll(BARE)].map(([, specifier = ""]) => found(specifier, false, false)),
    ...[...code.matchAll(DYNAMIC)].map(([, specifier = ""]) => found(specifier, false, true)),
  ];
}

/** The first folder of a path: `kernel` of `kernel/link.ts`; the empty text for files at the root. */
export function roomOf(path: string): string {
  const slash = path.indexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** The path that `specifier`, in file `from`, stands for. */
export function resolve(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
