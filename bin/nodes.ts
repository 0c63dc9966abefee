import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { Cluster } from "../overlay/cluster.ts";
import { parseNodesFile } from "../overlay/nodes-file.ts";

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
