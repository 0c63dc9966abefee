import {
  type BigIntStats,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { isOwnResolvConf, parseResolvConf, type ResolvConf } from "../../dns/resolv-conf.ts";
import { messageOf, NetError } from "../../lib/error.ts";

/** Where programs look for their name servers (resolv.conf(5)). */
export const DEFAULT_RESOLV_CONF = "/etc/resolv.conf";
/** The file of systemd-resolved with the servers behind its stub. */
const RESOLVED_UPSTREAMS = "/run/systemd/resolve/resolv.conf";
/** Address of that stub (systemd-resolved.service(8)). */
const RESOLVED_STUB = "127.0.0.53";
/** Where programs that own resolv.conf keep theirs. */
const RUNTIME = /^\/(?:var\/)?run\//;
const BYTES_MOST = 1 << 20;

/** What stood at the path before us. */
export type Before =
  | { readonly path: string; readonly kind: "file"; readonly text: string; readonly mode: number }
  | { readonly path: string; readonly kind: "link"; readonly target: string }
  | { readonly path: string; readonly kind: "nothing" };

export interface ResolvConfPlaces {
  /** The file, /etc/resolv.conf. */
  readonly path: string;
  /** Where what was there before us is kept. */
  readonly backup: string;
}

/** The file that tells a host's programs whom to ask, with what was there before. A link to a file that another program
 *  keeps below /run is replaced and comes back; any other link stays, and the file that it leads to is written. */
export class ResolvConfFile {
  readonly #places: ResolvConfPlaces;

  constructor(places: ResolvConfPlaces) {
    this.#places = places;
  }

  /** What is there now; undefined when there is none. */
  text(): string | undefined {
    const { path } = this.#places;
    return existsSync(path) ? readFileSync(path, "utf8").slice(0, BYTES_MOST) : undefined;
  }

  isOwn(): boolean {
    return isOwnResolvConf(this.text() ?? "");
  }

  /** What the file said before us: what it says now, when it isn't ours. */
  before(): ResolvConf {
    const text = this.text() ?? "";
    if (!isOwnResolvConf(text)) return behindStub(parseResolvConf(text));
    const saved = this.#saved();
    if (saved?.kind === "file") return behindStub(parseResolvConf(saved.text));
    const target = saved?.kind === "link" ? resolve(dirname(saved.path), saved.target) : "";
    return behindStub(parseResolvConf(existsSync(target) ? readFileSync(target, "utf8") : ""));
  }

  /** Puts this text there, in one step for every reader, and keeps what was there. False when it was there. Throws a
   *  NetError `io`. */
  apply(text: string): boolean {
    if (this.text() === text) return false;
    this.#attempt("write", () => {
      if (!this.isOwn()) this.#save();
      const { path } = this.#places;
      replace(this.#isReplaceable() ? path : realpathSync(path), text, modeOf(statOf(path)));
    });
    return true;
  }

  /** Brings back what was there before us. False when what is there isn't ours: then it is left alone, and only the
   *  copy goes. Throws a NetError `io`, or `not-found` when the copy is lost. */
  restore(): boolean {
    const { path, backup } = this.#places;
    const own = this.isOwn();
    const saved = this.#saved();
    if (own && saved === undefined) {
      const remedy = `write ${path} anew, or start the program that keeps it`;
      throw new NetError("not-found", { tried: `restore ${path}`, said: `${backup} is missing`, remedy });
    }
    this.#attempt("restore", () => {
      if (own && saved !== undefined) putBack(saved, this.#isReplaceable() ? path : realpathSync(path));
      rmSync(backup, { force: true });
    });
    return own;
  }

  #save(): void {
    const { path, backup } = this.#places;
    mkdirSync(dirname(backup), { recursive: true, mode: 0o700 });
    replace(backup, `${JSON.stringify(this.#present(path), null, 2)}\n`, 0o600);
  }

  #present(path: string): Before {
    const stat = statOf(path);
    if (stat === undefined) return { path, kind: "nothing" };
    if (stat.isSymbolicLink() && this.#isReplaceable()) return { path, kind: "link", target: readlinkSync(path) };
    return { path, kind: "file", text: readFileSync(path, "utf8"), mode: modeOf(stat) };
  }

  #saved(): Before | undefined {
    const { path, backup } = this.#places;
    if (!existsSync(backup)) return undefined;
    const before = JSON.parse(readFileSync(backup, "utf8")) as Before;
    return before.path === path ? before : undefined;
  }

  /** False for a link of the operator's own, which stays. */
  #isReplaceable(): boolean {
    const { path } = this.#places;
    if (statOf(path)?.isSymbolicLink() !== true) return true;
    return !existsSync(path) || RUNTIME.test(resolve(dirname(path), readlinkSync(path)));
  }

  #attempt(verb: string, action: () => void): void {
    const { path } = this.#places;
    try {
      action();
    } catch (cause) {
      const remedy = "what was there is as it was";
      throw new NetError("io", { tried: `${verb} ${path}`, said: messageOf(cause), remedy, cause });
    }
  }
}

/** The stub of systemd-resolved asks servers that its own file names: these can be asked without it. */
function behindStub(conf: ResolvConf): ResolvConf {
  if (conf.servers.join() !== RESOLVED_STUB || !existsSync(RESOLVED_UPSTREAMS)) return conf;
  return { ...conf, servers: parseResolvConf(readFileSync(RESOLVED_UPSTREAMS, "utf8")).servers };
}

/** A file that something is mounted on, as in a container, can't be replaced; it is written in place. */
function replace(path: string, text: string, mode: number): void {
  const temporary = `${path}.dcos-net.${process.pid}`;
  try {
    writeFileSync(temporary, text, { mode, flush: true });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (!(error instanceof Error && "code" in error && error.code === "EBUSY")) throw error;
    writeFileSync(path, text);
  }
}

function putBack(before: Before, path: string): void {
  if (before.kind === "nothing") rmSync(path);
  else if (before.kind === "file") replace(path, before.text, before.mode);
  else {
    const temporary = `${path}.dcos-net.${process.pid}`;
    rmSync(temporary, { force: true });
    symlinkSync(before.target, temporary);
    renameSync(temporary, path);
  }
}

function statOf(path: string): BigIntStats | undefined {
  return lstatSync(path, { throwIfNoEntry: false, bigint: true });
}

function modeOf(stat: BigIntStats | undefined): number {
  return stat === undefined || stat.isSymbolicLink() ? 0o644 : Number(stat.mode) & 0o777;
}
