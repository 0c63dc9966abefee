import type { DataplaneKind } from "../../l4lb/dataplane.ts";
import type { Files } from "../../lib/files.ts";

const KINDS: readonly DataplaneKind[] = ["nftables", "ipvs", "socket"];

/** Which data planes this node has objects of in its kernel, in a file that outlives the agent: so that after a change
 *  of the setting what the one before made is taken away, and nothing that somebody else made. */
export class UsedDataplanes {
  readonly #files: Files;
  readonly #path: string;
  #kinds: ReadonlySet<DataplaneKind>;

  constructor(files: Files, stateDir: string) {
    this.#files = files;
    this.#path = `${stateDir}/l4lb-dataplanes`;
    const words = new TextDecoder().decode(files.read(this.#path) ?? new Uint8Array()).split(/\s+/);
    this.#kinds = new Set(KINDS.filter((kind) => words.includes(kind)));
  }

  /** Those that were used and are not `kind`. */
  others(kind: DataplaneKind | undefined): DataplaneKind[] {
    return [...this.#kinds].filter((each) => each !== kind);
  }

  /** Notes, before it makes anything, that a data plane is used. */
  add(kind: DataplaneKind): void {
    if (!this.#kinds.has(kind)) this.#write(new Set([...this.#kinds, kind]));
  }

  /** Nothing of it is left. */
  delete(kind: DataplaneKind): void {
    if (this.#kinds.has(kind)) this.#write(this.#kinds.difference(new Set([kind])));
  }

  #write(kinds: ReadonlySet<DataplaneKind>): void {
    this.#files.replace(this.#path, `${[...kinds].join("\n")}\n`, 0o644);
    this.#kinds = kinds;
  }
}
