import { existsSync } from "node:fs";
import { NetError } from "../lib/error.ts";

/** Where the entry of a compiled program lies, as the program itself sees it. */
const COMPILED_ROOT = "/$bunfs/";

/** Path of the running executable, for starting more of it: lab agents, plugins, installed links. Throws a NetError
 *  `unsupported` when the program runs from source, where the only executable is Bun. */
export function executable(): string {
  if (Bun.main.startsWith(COMPILED_ROOT) && existsSync(process.execPath)) return process.execPath;
  throw new NetError("unsupported", {
    tried: "find the dcos-net executable",
    said: Bun.main.startsWith(COMPILED_ROOT) ? `${process.execPath} is gone` : "this one runs from source",
    remedy: "build it with `make build` and run dist/dcos-net",
  });
}

/** Throws a NetError `permission` unless the program runs as root. */
export function requireRoot(tried: string): void {
  if (process.getuid?.() === 0) return;
  throw new NetError("permission", { tried, said: "this needs root", remedy: "run it with sudo" });
}
