import { NetError } from "../lib/error.ts";
import type { Cluster } from "./cluster.ts";
import type { Surroundings } from "./observe.ts";
import { ROUTE_PROTOCOL, type TableInput } from "./table.ts";
import { underlayOf } from "./underlay.ts";

/** What the table of the node called `name` is computed from, with this kernel around it. Throws a NetError
 *  `not-found` when the cluster has no such node. */
export function tableInputOf(cluster: Cluster, name: string, around: Surroundings): TableInput {
  const self = cluster.nodes.find((node) => node.name === name);
  if (self === undefined) throw unknownNode(name);
  const peers = cluster.nodes.filter((node) => node !== self);
  // Our own routes lead through the tunnel, and what the tunnel runs over is asked for.
  const foreign = around.routes.filter(({ protocol }) => protocol !== ROUTE_PROTOCOL);
  return { cluster, self, underlay: underlayOf(self, peers, { ...around, routes: foreign }), ipv6: around.ipv6 };
}

function unknownNode(name: string): NetError {
  return new NetError("not-found", {
    tried: `find node ${JSON.stringify(name)} in the cluster`,
    said: "it has no node of that name",
    remedy: "add this host to the nodes file, or start the agent with the name that it has there",
  });
}
