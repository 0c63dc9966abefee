import type { Cancel, Clock } from "../lib/clock.ts";
import { messageOf, NetError } from "../lib/error.ts";
import type { FileStat, Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import type { Cluster } from "../overlay/cluster.ts";
import { parseNodesFile } from "../overlay/nodes-file.ts";
import type { ClusterSource, KnownCluster } from "./cluster-source.ts";
import { every } from "./every.ts";

/** The cluster that the nodes file at `path` describes, for the node called `node`. Throws a NetError when the file is
 *  missing, wrong, or without this node. */
export function readCluster(files: Files, path: string, node: string): Cluster {
  const bytes = files.read(path);
  if (bytes === undefined) {
    throw new NetError("not-found", {
      tried: `read nodes file ${path}`,
      said: "there is no such file",
      remedy: "write it, or name another with --nodes FILE",
    });
  }
  const cluster = parseNodesFile(new TextDecoder().decode(bytes), path);
  if (cluster.nodes.some(({ name }) => name === node)) return cluster;
  throw new NetError("not-found", {
    tried: `find node ${JSON.stringify(node)} in ${path}`,
    said: "no node there has this name",
    remedy: "add it, or give with --node the name that this host has there",
  });
}

export interface NodesFileOptions {
  readonly path: string;
  /** Name of this node in the file. */
  readonly node: string;
  readonly pollMs: number;
  readonly files: Files;
  readonly log: Log;
  readonly clock: Clock;
}

/** The static cluster: the nodes file, looked at every `pollMs` milliseconds. A file that can't be used is reported,
 *  and the one before stays in force; throws a NetError when there is none before it. */
export function nodesFileSource(options: NodesFileOptions): ClusterSource {
  return new NodesFile(options);
}

class NodesFile implements ClusterSource {
  readonly node: string;
  readonly origin: string;
  readonly #options: NodesFileOptions;
  #known: KnownCluster;
  /** What told the file in force, or the refused one, from another. */
  #mark: string;
  #problem: string | undefined;
  #onChange = () => {};
  #cancel: Cancel = () => {};

  constructor(options: NodesFileOptions) {
    const { path, node, files } = options;
    this.#options = options;
    this.node = node;
    this.origin = path;
    this.#mark = markOf(files.stat(path));
    this.#known = { cluster: readCluster(files, path, node), isComplete: true };
  }

  current(): KnownCluster {
    return this.#known;
  }

  problem(): string | undefined {
    return this.#problem;
  }

  summary(): undefined {
    return undefined;
  }

  watch(onChange: () => void): void {
    const { clock, pollMs } = this.#options;
    this.#onChange = onChange;
    this.#cancel = every(clock, pollMs, () => this.#look());
  }

  reload(): void {
    this.#use();
  }

  passed(): void {}

  async stop(): Promise<void> {
    this.#cancel();
  }

  #look(): void {
    const { files, path } = this.#options;
    if (markOf(files.stat(path)) !== this.#mark) this.#use();
  }

  #use(): void {
    const { files, path, node, log } = this.#options;
    try {
      // The mark is taken first: a change in between is seen at the next look.
      this.#mark = markOf(files.stat(path));
      const cluster = readCluster(files, path, node);
      this.#known = { cluster, isComplete: true };
      this.#problem = undefined;
      log.info("nodes file taken", { nodes: cluster.nodes.length, overlays: cluster.overlays.length });
    } catch (error) {
      this.#problem = messageOf(error);
      log.error("nodes file refused", { problem: this.#problem });
    }
    this.#onChange();
  }
}

function markOf(stat: FileStat | undefined): string {
  return stat === undefined ? "missing" : `${stat.device}:${stat.inode}:${stat.size}:${stat.modifiedNs}`;
}
