import { changesFromGossip } from "../../facts/gossiped.ts";
import { FactView } from "../../facts/view.ts";
import { loadSnapshot } from "../../gossip/snapshot.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Cluster } from "../../overlay/cluster.ts";
import type { Config } from "../config.ts";
import { snapshotPath } from "./cluster-mode.ts";
import { clusterFromFacts } from "./facts-cluster.ts";
import { ownId } from "./identity.ts";

/** The cluster as the agent of this node saved it last, at most a few seconds ago while it runs, and this node's id in
 *  it. Throws a NetError `not-found` when there is none, or no assignment for this node. */
export function savedCluster(files: Files, config: Config): { readonly cluster: Cluster; readonly node: string } {
  const { state_dir: dir, overlay_mtu: mtu } = config;
  const path = snapshotPath(dir);
  const state = loadSnapshot(files, path);
  if (state === undefined) throw missing(path, "no agent has saved one there");
  const view = new FactView();
  // What can't be read was told by the agent already.
  for (const { owner, entries } of state.logs) view.apply(changesFromGossip(owner, entries, () => {}));
  const node = ownId(files, dir, "", () => {
    throw missing(`${dir}/node-id`, "no agent has made one there");
  });
  const cluster = clusterFromFacts(view.snapshot(), node, mtu === 0 ? undefined : mtu);
  if (cluster === undefined) throw missing(path, `it has no assignment for this node, ${node}`);
  return { cluster, node };
}

function missing(path: string, said: string): NetError {
  const remedy = "see `dcos-net status`, or name a static cluster with --nodes FILE";
  return new NetError("not-found", { tried: `read the view of the cluster in ${path}`, said, remedy });
}
