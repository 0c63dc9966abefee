import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { describeOperation } from "../../kernel/encode.ts";
import { formatIp, formatPrefix, type Ip, parseIp } from "../../lib/address.ts";
import type { ClusterNode, Overlay } from "../../overlay/cluster.ts";
import { isEmpty, type Plan } from "../../overlay/plan.ts";
import { bridgeName, rangeOf } from "../../overlay/subnet.ts";
import { gatewayOf } from "../../overlay/table.ts";
import { traceAddress } from "../../overlay/trace.ts";
import { type App, EXIT } from "../app.ts";
import { checked } from "../checked.ts";
import { savedCluster } from "../cluster/saved-cluster.ts";
import { readCluster } from "../nodes.ts";
import { count, show, table } from "../output.ts";
import { type OverlayView, overlayView, peerViews } from "../overlay-view.ts";

interface Options {
  readonly nodes?: string;
  readonly node?: string;
  readonly json?: boolean;
}

/** `dcos-net overlay`: what this node's overlay should be and what the kernel has of it. Nothing here changes
 *  anything. */
export function addOverlay(program: Command, app: App): void {
  const overlay = program
    .command("overlay")
    .description("this node's overlay networks, and what the kernel has of them");
  const options = (command: Command) =>
    command
      .option("--nodes <file>", "a static cluster, described in this file (setting nodes_file)")
      .option("--node <name>", "name of this node in the cluster")
      .option("--json", "print JSON");
  options(overlay.command("show"))
    .description("networks, addresses, tunnel and MTU; exit status 1 when the kernel lacks something")
    .action((given: Options) => showOverlay(app, given));
  options(overlay.command("peers"))
    .description("the other nodes, and whether this kernel can reach them; exit status 1 when it lacks something")
    .action((given: Options) => showPeers(app, given));
  options(overlay.command("explain"))
    .description("whose address this is, and each kernel object on the way to it; exit status 1 when one is missing")
    .argument("<address>", "an IPv4 or IPv6 address", checked(parseIp))
    .action((address: Ip, given: Options) => explain(app, address, given));
}

function viewOf(app: App, options: Options): OverlayView {
  const { config } = app.settings();
  if (options.nodes === undefined && config.cluster_secret_file !== "") {
    const { cluster, node } = savedCluster(app.files, config);
    return overlayView(app.kernel, cluster, options.node ?? node);
  }
  const nodesFile = options.nodes === undefined ? config.nodes_file : resolve(options.nodes);
  const node = options.node ?? (config.node === "" ? hostname() : config.node);
  return overlayView(app.kernel, readCluster(app.files, nodesFile, node), node);
}

function showOverlay(app: App, options: Options): void {
  const view = viewOf(app, options);
  const { self, desired, plan, cluster } = view;
  const shown = {
    node: self.name,
    tunnel: desired.vtep === undefined ? undefined : tunnelOf(view),
    mtu: desired.mtu,
    peers: cluster.nodes.length - 1,
    overlays: cluster.overlays.map((overlay) => overlayOf(overlay, self)),
    missing: missingOf(plan),
    conflicts: [...desired.omitted, ...plan.conflicts],
  };
  show(app.out, options.json === true, shown, overlayLines);
  if (!isEmpty(plan)) app.exitCode = EXIT.bad;
}

function tunnelOf({ self, cluster }: OverlayView) {
  const { ip, ip6, mac } = self.vtep;
  return {
    link: `vtep${cluster.vni}`,
    vni: cluster.vni,
    port: cluster.port,
    mac,
    addresses: [ip, ip6].flatMap((prefix) => (prefix === undefined ? [] : formatPrefix(prefix))),
  };
}

function overlayOf(overlay: Overlay, self: ClusterNode) {
  const { v4, v6 } = self.subnets.get(overlay.name) ?? {};
  const own = [v4, v6].flatMap((prefix) => prefix ?? []);
  const ranges = ([4, 6] as const).flatMap((family) => rangeOf(overlay, family) ?? []);
  return {
    name: overlay.name,
    subnets: ranges.map(({ subnet }) => formatPrefix(subnet)),
    here: own.map(formatPrefix),
    bridge: bridgeName("m", overlay.name),
    gateways: own.map((prefix) => formatIp(gatewayOf(prefix).ip)),
    isolated: overlay.isolated,
  };
}

/** What the kernel lacks or has wrong, in the words of the operations that would correct it. */
function missingOf({ isolation, links, sysctls, local, peers }: Plan): string[] {
  return [
    ...(isolation.length > 0 ? ["set up the isolation table"] : []),
    ...[...links, ...local, ...peers].map(describeOperation),
    ...sysctls.map(({ path, value }) => `set sysctl ${path}=${value}`),
  ];
}

const MISSING_SHOWN = 20;

function overlayLines(shown: {
  readonly node: string;
  readonly tunnel: ReturnType<typeof tunnelOf> | undefined;
  readonly mtu: { readonly reason: string };
  readonly peers: number;
  readonly overlays: readonly ReturnType<typeof overlayOf>[];
  readonly missing: readonly string[];
  readonly conflicts: readonly string[];
}): string[] {
  const { node, tunnel, mtu, peers, overlays, missing, conflicts } = shown;
  const rows = overlays.map(({ name, subnets, here, bridge, gateways, isolated }) => [
    name,
    subnets.join(" "),
    here.join(" "),
    bridge,
    gateways.join(" "),
    isolated ? "yes" : "no",
  ]);
  const more = missing.length - MISSING_SHOWN;
  return [
    ...conflicts.map((line) => `! ${line}`),
    ...missing.slice(0, MISSING_SHOWN).map((line) => `! the kernel lacks something: ${line}`),
    ...(more > 0 ? [`! and ${more} more`] : []),
    `node    ${node}, ${count(peers, "peer")}`,
    ...(tunnel === undefined
      ? ["tunnel  none, because no overlay is enabled"]
      : [`tunnel  ${tunnel.link}, UDP port ${tunnel.port}, ${tunnel.mac}, ${tunnel.addresses.join(" ")}`]),
    `MTU     ${mtu.reason}`,
    ...table(["OVERLAY", "SUBNETS", "HERE", "BRIDGE", "GATEWAYS", "ISOLATED"], rows),
  ];
}

function showPeers(app: App, options: Options): void {
  const peers = peerViews(viewOf(app, options));
  show(app.out, options.json === true, peers, (views) =>
    table(
      ["NODE", "ADDRESS", "ENDPOINT", "MAC", "SUBNETS", "KERNEL"],
      views.map(({ node, address, endpoint, mac, subnets, objects, missing }) => [
        node,
        address,
        endpoint,
        mac,
        Object.values(subnets).flat().join(" "),
        missing.length === 0 ? `all ${objects} objects` : `MISSING ${missing.join("; ")}`,
      ]),
    ),
  );
  if (peers.some(({ missing }) => missing.length > 0)) app.exitCode = EXIT.bad;
}

function explain(app: App, address: Ip, options: Options): void {
  const trace = traceAddress(address, viewOf(app, options));
  show(app.out, options.json === true, trace, ({ about, steps, missing }) => [
    about,
    ...steps.map(({ object, present }) => `  ${present ? "ok     " : "MISSING"}  ${object}`),
    ...(missing === undefined ? [] : [`first missing: ${missing}`]),
  ]);
  if (trace.missing !== undefined) app.exitCode = EXIT.bad;
}
