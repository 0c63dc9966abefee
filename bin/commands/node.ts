import type { Command } from "commander";
import { NetError } from "../../lib/error.ts";
import { askApi } from "../api/client.ts";
import type { NodeEntry } from "../api/nodes.ts";
import type { App } from "../app.ts";
import { nearest } from "../nearest.ts";
import { age, show, table } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";

/** `dcos-net node`: the nodes of the cluster, as this node's agent knows them. */
export function addNode(program: Command, app: App): void {
  const node = program.command("node").description("the nodes of the cluster");
  withApi(node.command("ls"))
    .description("every node that this one knows, how it is, and its part of the overlays")
    .action((options: ApiOptions) => list(app, options));
  withApi(node.command("forget"))
    .description("take a node that is gone for good out of the cluster, and give others what it held")
    .argument("<id>", "its id or name, as `node ls` shows it")
    .addHelpText(
      "after",
      `
Ask on the master that leads the overlay; any other says which one does. A node that may be alive is refused: its
containers would go on using addresses that others get. By itself the cluster forgets a node three days after it was
last seen, but keeps its part of the overlays for it.`,
    )
    .action((id: string, options: ApiOptions) => forget(app, id, options));
}

async function list(app: App, options: ApiOptions): Promise<void> {
  const nodes = (await askApi(apiMeant(app, options), "/v1/nodes")) as readonly NodeEntry[];
  show(app.out, options.json === true, nodes, nodeLines);
}

/** A line for each node, then a line for each that was refused something. */
export function nodeLines(nodes: readonly NodeEntry[]): string[] {
  const rows = nodes.map((node) => [
    node.hostname === "" ? "?" : node.hostname,
    node.id,
    node.leader === true ? "master, leads" : (node.role ?? "?"),
    node.private_ip,
    node.age === undefined ? node.status : `${node.status} ${age(node.age * 1000)}`,
    node.vtep?.[0] ?? "-",
    Object.values(node.subnets ?? {})
      .flat()
      .join(" ") || "-",
  ]);
  const refusals = nodes.flatMap(({ hostname, id, refusal, refused = {} }) => [
    ...(refusal === undefined ? [] : [`! ${hostname || id}: ${refusal}`]),
    ...Object.entries(refused).map(([overlay, reason]) => `! ${hostname || id} goes without ${overlay}: ${reason}`),
  ]);
  return [...table(["NODE", "ID", "ROLE", "ADDRESS", "STATUS", "TUNNEL", "SUBNETS"], rows), ...refusals];
}

async function forget(app: App, meant: string, options: ApiOptions): Promise<void> {
  const api = apiMeant(app, options);
  const nodes = (await askApi(api, "/v1/nodes")) as readonly NodeEntry[];
  const id = idOf(meant, nodes);
  const answer = (await askApi(api, "/v1/nodes/forget", { nodes: [id] })) as { readonly forgotten: readonly string[] };
  show(app.out, options.json === true, answer, ({ forgotten }) => forgotten.map((each) => `forgot ${each}`));
}

/** The id of the node that `meant` is the id or name of. Throws a NetError when it is nobody's, or the name of several:
 *  a node that was set up anew has the name of its former self. */
export function idOf(meant: string, nodes: readonly NodeEntry[]): string {
  if (nodes.some(({ id }) => id === meant)) return meant;
  const named = nodes.filter(({ hostname }) => hostname === meant).map(({ id }) => id);
  const [only] = named;
  if (only !== undefined && named.length === 1) return only;
  const near = nearest(meant, new Set(nodes.flatMap(({ id, hostname }) => [id, hostname])));
  const hint = near === undefined ? "" : `, did you mean ${JSON.stringify(near)}?`;
  throw new NetError("not-found", {
    tried: `find node ${JSON.stringify(meant)}`,
    said: named.length > 1 ? `several have this name: ${named.join(", ")}` : `no node has this id or name${hint}`,
    remedy: "`dcos-net node ls` shows the ids",
  });
}
