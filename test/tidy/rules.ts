import { type Import, importsOf, resolve, roomOf, type SourceFile, withoutComments } from "./source.ts";

/** A rule of the tree: what it forbids, and the function that names each place where it is broken. */
export interface Rule {
  readonly name: string;
  readonly check: (files: readonly SourceFile[]) => string[];
}

/** Who may import whom. A room may always import from itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  kernel: ["lib"],
  ipam: ["lib"],
  cni: ["lib", "kernel", "ipam"],
  "cnm-driver": ["lib", "kernel", "ipam", "cni"],
  facts: ["lib"],
  gossip: ["lib"],
  overlay: ["lib"],
  dns: ["lib"],
  l4lb: ["lib"],
  bin: ["lib", "kernel", "ipam", "cni", "cnm-driver", "overlay", "facts", "gossip", "dns", "l4lb"],
};
const SHIPPED = new Set(Object.keys(MAY_IMPORT));

/** The files of each feature that may use the kernel; the others may know its types. */
const KERNEL_USERS = new Set([
  "overlay/apply.ts",
  "dns/apply.ts",
  "dns/server.ts",
  "dns/fast/worker.ts",
  "dns/fast/workers.ts",
]);
const KERNEL_USING_FOLDERS = ["l4lb/dataplanes/"];
const KERNEL_TYPES = new Set(["kernel/kernel.ts", "kernel/nftables.ts", "kernel/conntrack.ts", "kernel/ipvs.ts"]);

/** Features may know the types of facts, which are all that nodes tell each other. */
const FACT_TYPES = new Set(["facts/fact.ts"]);

/** Files outside bin that may import these modules of Node.js and npm: what talks to sockets, ciphers and other
 *  people's programs. None of them is on the way into a plugin. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  "cnm-driver/engine.ts": ["dockerode"],
  "cnm-driver/socket.ts": ["node:fs"],
  "facts/sources/docker.ts": ["node:os"],
  "facts/sources/docker-engine.ts": ["dockerode"],
  "facts/sources/file-text.ts": ["yaml"],
  "facts/sources/file-watch.ts": ["node:fs"],
  "facts/sources/mesos-zookeeper.ts": ["node-zookeeper-client"],
  "gossip/cipher.ts": ["node:crypto"],
  "gossip/key.ts": ["node:crypto"],
  "gossip/snapshot.ts": ["node:crypto"],
  "overlay/leader/zookeeper-session.ts": ["node-zookeeper-client"],
};

/** Shipped files that no shipped file imports, and why they are there. */
const ENTRIES: Readonly<Record<string, string>> = {
  "bin/dcos-net.ts": "the entry of the executable",
  "kernel/fake.ts": "the kernel in memory, for tests of every feature",
  "dns/fast/worker.ts": "the entry of the threads that answer over UDP",
};

/** What a plugin call loads starts here; the rooms are wholly on that path. */
const START_UP_ENTRY = "bin/dcos-net.ts";
const START_UP_ROOMS = new Set(["cni", "ipam", "kernel"]);

const LINES_MAX = 600;
const COLUMNS_MAX = 120;

// Written so that this file doesn't contain the words that it looks for.
const LEFTOVERS = /\b(TO[D]O|FIX[M]E|X[X]X|HAC[K])\b/;
const MACHINE_PATHS = /(?<![\w.-])\/(?:work|farm)\/|shared\/(?:DESIGN|reference)|\/tmp\/brie[f]|\bissue [2]\b/;
const REGISTRIES = /registry\.npm[j]s\.org|deb\.debia[n]\.org/;
const ONLY = /\b(?:describe|it|context)\.onl[y]\(/;

const isTypeScript = ({ path }: SourceFile): boolean => path.endsWith(".ts");
const isShipped = (file: SourceFile): boolean => isTypeScript(file) && SHIPPED.has(roomOf(file.path));

/** Every rule, in the order in which it is reported. */
export const RULES: readonly Rule[] = [
  { name: "rooms import only the rooms they may", check: importsBetweenRooms },
  {
    name: "outside bin, shipped files import only the node and npm modules that they are named for",
    check: foreignImports,
  },
  { name: "the way into a plugin loads no node or npm module", check: startUpImports },
  { name: "only kernel/ffi.ts imports bun:ffi", check: ffiImports },
  { name: "no file imports itself in a circle", check: circularImports },
  { name: "every shipped file is imported", check: unusedFiles },
  {
    name: "only bin and cni/protocol.ts read environment and arguments",
    check: inShipped(/\bprocess\.(?:env|argv|argv0)\b|\bBun\.(?:env|argv)\b|\bimport\.meta\.env\b/, [
      "cni/protocol.ts",
    ]),
  },
  {
    name: "only bin, lib/clock.ts and cni/protocol.ts read a clock",
    check: inShipped(/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bBun\.nanoseconds\b/, [
      "lib/clock.ts",
      "cni/protocol.ts",
    ]),
  },
  {
    name: "only bin and cni/delegate.ts start processes",
    check: inShipped(/\bBun\.(?:spawn|spawnSync|\$)/, ["cni/delegate.ts"]),
  },
  { name: "nothing is printed outside bin", check: inShipped(/\bconsole\.|\bprocess\.stdout\b/, []) },
  { name: "no default exports", check: inTypeScript(/^export default\b/m) },
  { name: "no leftovers", check: inLines(LEFTOVERS) },
  { name: "no test runs alone", check: inLines(ONLY) },
  { name: "no path of a developer's machine", check: inLines(MACHINE_PATHS) },
  { name: "no registry's host name", check: inLines(REGISTRIES) },
  { name: `no file over ${LINES_MAX} lines`, check: longFiles },
  { name: `no line of TypeScript over ${COLUMNS_MAX} columns`, check: longLines },
  { name: "files end in one newline", check: fileEnds },
  { name: "unit tests mirror a source file", check: unitTestsMirror },
  { name: "links between documents lead to a file, or folder, of the tree", check: brokenLinks },
  { name: "systemd units clear the variables that load code into Bun", check: unitsClearVariables },
];

function importsBetweenRooms(files: readonly SourceFile[]): string[] {
  return everyImport(files.filter(isShipped), (file, { target, typeOnly, specifier }) => {
    if (target === undefined) return undefined;
    const from = roomOf(file.path);
    const to = roomOf(target);
    if (from === to || MAY_IMPORT[from]?.includes(to)) return undefined;
    if (["overlay", "dns"].includes(from) && KERNEL_TYPES.has(target) && typeOnly) return undefined;
    if (["dns", "l4lb"].includes(from) && to === "facts" && typeOnly) return undefined;
    if (to === "kernel" && usesKernel(file.path)) return undefined;
    if (from === "overlay" && FACT_TYPES.has(target) && typeOnly) return undefined;
    return `${file.path} imports ${specifier}: ${from} may not import ${to === "" ? "the root" : to}`;
  });
}

function usesKernel(path: string): boolean {
  return KERNEL_USERS.has(path) || KERNEL_USING_FOLDERS.some((folder) => path.startsWith(folder));
}

function foreignImports(files: readonly SourceFile[]): string[] {
  return everyImport(files.filter(isShipped), (file, { target, typeOnly, specifier }) => {
    if (target !== undefined || typeOnly || roomOf(file.path) === "bin" || specifier.startsWith("bun:"))
      return undefined;
    if (FOREIGN[file.path]?.includes(specifier)) return undefined;
    return `${file.path} imports ${specifier}`;
  });
}

/** Follows static imports only: what a file loads with `import()` is loaded by those who need it. */
function startUpImports(files: readonly SourceFile[]): string[] {
  const shipped = new Map(files.filter(isShipped).map((file) => [file.path, file]));
  const roots = [...shipped.keys()].filter((path) => path === START_UP_ENTRY || START_UP_ROOMS.has(roomOf(path)));
  const broken: string[] = [];
  const seen = new Set<string>(roots);
  for (const path of seen) {
    const file = shipped.get(path);
    if (file === undefined) continue;
    for (const { target, specifier, typeOnly, dynamic } of importsOf(file)) {
      if (typeOnly || dynamic) continue;
      if (target !== undefined) seen.add(target);
      else if (specifier !== "bun:ffi") broken.push(`${path} imports ${specifier}`);
    }
  }
  return broken;
}

function ffiImports(files: readonly SourceFile[]): string[] {
  return everyImport(files.filter(isTypeScript), (file, { specifier, typeOnly }) =>
    specifier === "bun:ffi" && !typeOnly && file.path !== "kernel/ffi.ts" ? `${file.path} imports bun:ffi` : undefined,
  );
}

/** Types may refer to each other in a circle: nothing of them is left when the program runs. So may parts that are
 *  loaded when they are first used. */
function circularImports(files: readonly SourceFile[]): string[] {
  const targets = new Map(files.filter(isTypeScript).map((file) => [file.path, startUpTargetsOf(file)]));
  const finished = new Set<string>();
  const circles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) circles.push([...trail.slice(start), path].join(" → "));
    if (start >= 0 || finished.has(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...trail, path]);
    finished.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return circles;
}

function unusedFiles(files: readonly SourceFile[]): string[] {
  const shipped = files.filter(isShipped);
  const used = new Set(shipped.flatMap((file) => targetsOf(file)));
  return shipped
    .filter(({ path }) => !used.has(path) && ENTRIES[path] === undefined)
    .map(({ path }) => `${path} is imported by nothing`);
}

function longFiles(files: readonly SourceFile[]): string[] {
  return files.filter(isWritten).flatMap(({ path, text }) => {
    const lines = text.split("\n").length - 1;
    return lines > LINES_MAX ? [`${path} has ${lines} lines`] : [];
  });
}

/** A text or template that is long by itself can't be broken, so it counts as empty. */
function longLines(files: readonly SourceFile[]): string[] {
  const columns = (line: string): number => line.replace(/"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`/g, '""').length;
  return files
    .filter(isTypeScript)
    .flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => (columns(line) > COLUMNS_MAX ? [`${path}:${index + 1}`] : [])),
    );
}

function fileEnds(files: readonly SourceFile[]): string[] {
  return files.filter(({ text }) => text !== "" && !/[^\n]\n$/.test(text)).map(({ path }) => path);
}

/** `test/unit/ipam/range.test.ts` tests `ipam/range.ts`; `range-order.test.ts` is another aspect of the same file. */
function unitTestsMirror(files: readonly SourceFile[]): string[] {
  const paths = new Set(files.map(({ path }) => path));
  return [...paths]
    .filter((path) => /^test\/unit\/.*\.test\.ts$/.test(path))
    .flatMap((path) => {
      let stem = path.slice("test/unit/".length, -".test.ts".length);
      while (!paths.has(`${stem}.ts`)) {
        const dash = stem.lastIndexOf("-");
        if (dash <= stem.lastIndexOf("/")) return [`${path} mirrors no source file`];
        stem = stem.slice(0, dash);
      }
      return [];
    });
}

/** See docs/decisions/002-bun-compiled-executable.md. */
function unitsClearVariables(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => path.endsWith(".service"))
    .filter(({ text }) => !/^UnsetEnvironment=BUN_BE_BUN BUN_OPTIONS$/m.test(text))
    .map(({ path }) => path);
}

/** Links to other sites are no affair of the tree. */
function brokenLinks(files: readonly SourceFile[]): string[] {
  const present = new Set(files.flatMap(({ path }) => [path, ...foldersOf(path)]));
  return files
    .filter(({ path }) => path.endsWith(".md"))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)]
        .map(([, link = ""]) => link)
        .filter((link) => !/^\w+:/.test(link) && !present.has(resolve(path, link).replace(/\/$/, "")))
        .map((link) => `${path} leads to ${link}`),
    );
}

function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** Generated and recorded files are as long as they are. */
function isWritten({ path }: SourceFile): boolean {
  return !/\.(?:json|md|txt)$|^LICENSE$/.test(path);
}

function everyImport(
  files: readonly SourceFile[],
  judge: (file: SourceFile, found: Import) => string | undefined,
): string[] {
  return files.flatMap((file) => importsOf(file).flatMap((found) => judge(file, found) ?? []));
}

function targetsOf(file: SourceFile): string[] {
  return importsOf(file).flatMap(({ target }) => target ?? []);
}

function startUpTargetsOf(file: SourceFile): string[] {
  return importsOf(file).flatMap(({ target, typeOnly, dynamic }) => (typeOnly || dynamic ? [] : (target ?? [])));
}

/** A check that shipped code outside bin, the named files apart, has no match in code (comments may name it). */
function inShipped(pattern: RegExp, except: readonly string[]): Rule["check"] {
  return (files) =>
    files
      .filter((file) => isShipped(file) && roomOf(file.path) !== "bin" && !except.includes(file.path))
      .flatMap((file) => matchOf(file, pattern, withoutComments(file.text)));
}

function inTypeScript(pattern: RegExp): Rule["check"] {
  return (files) => files.filter(isTypeScript).flatMap((file) => matchOf(file, pattern, withoutComments(file.text)));
}

function matchOf({ path }: SourceFile, pattern: RegExp, code: string): string[] {
  const found = pattern.exec(code)?.[0];
  return found === undefined ? [] : [`${path} has ${found}`];
}

function inLines(pattern: RegExp): Rule["check"] {
  return (files) =>
    files.flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => {
        const found = pattern.exec(line)?.[0];
        return found === undefined ? [] : [`${path}:${index + 1} has ${found}`];
      }),
    );
}
