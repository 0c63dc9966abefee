import { leaseNetwork } from "../../cnm-driver/lease.ts";
import { NetworkDirectory } from "../../ipam/directory.ts";
import type { Files } from "../../lib/files.ts";

/** Counts the containers on this node that hold addresses of an overlay, CNI's and Docker's: by the leases, which CNI
 *  plugins keep without the agent. */
export class ContainerCounter {
  readonly #files: Files;
  readonly #dataDir: string;
  readonly #counted = new Map<string, { readonly mark: bigint; readonly count: number }>();

  constructor(files: Files, dataDir: string) {
    this.#files = files;
    this.#dataDir = dataDir;
  }

  count(overlay: string): number {
    // Docker's leases of the two families are apart, and a container has one of each at most.
    const docker = ([4, 6] as const).map((family) => this.#holders(leaseNetwork(overlay, family)));
    return this.#holders(overlay) + Math.max(...docker);
  }

  /** Reads the leases only if any came or went since the last time. */
  #holders(network: string): number {
    const path = `${this.#dataDir}/${network}`;
    const mark = this.#files.stat(path)?.modifiedNs;
    if (mark === undefined) return 0;
    const known = this.#counted.get(network);
    if (known?.mark === mark) return known.count;
    const { held } = new NetworkDirectory(this.#files, path).scan();
    const count = new Set(held.map(({ holder }) => holder.id)).size;
    this.#counted.set(network, { mark, count });
    return count;
  }
}
