import { NetworkDirectory } from "../../ipam/directory.ts";
import type { Files } from "../../lib/files.ts";

/** Counts the containers on this node that hold addresses of an overlay: by the leases, which CNI plugins keep without
 *  the agent. */
export class ContainerCounter {
  readonly #files: Files;
  readonly #dataDir: string;
  readonly #counted = new Map<string, { readonly mark: bigint; readonly count: number }>();

  constructor(files: Files, dataDir: string) {
    this.#files = files;
    this.#dataDir = dataDir;
  }

  /** Reads the leases only if any came or went since the last time. */
  count(overlay: string): number {
    const path = `${this.#dataDir}/${overlay}`;
    const mark = this.#files.stat(path)?.modifiedNs;
    if (mark === undefined) return 0;
    const known = this.#counted.get(overlay);
    if (known?.mark === mark) return known.count;
    const { held } = new NetworkDirectory(this.#files, path).scan();
    const count = new Set(held.map(({ holder }) => holder.id)).size;
    this.#counted.set(overlay, { mark, count });
    return count;
  }
}
