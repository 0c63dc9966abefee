import { type Command, InvalidArgumentError } from "commander";
import { NetError } from "../../lib/error.ts";
import { type App, EXIT } from "../app.ts";
import { checked, many, numberFrom } from "../checked.ts";
import { containerEnvironment, containerOf, findProgram, runContainer, stopContainer } from "../lab/container.ts";
import { dockerEnvironment } from "../lab/docker.ts";
import { labDown } from "../lab/down.ts";
import { inNamespace, type LabContext, labNames, nodeOf, openLab } from "../lab/lab.ts";
import { checkName } from "../lab/layout.ts";
import { parsePublish } from "../lab/ports.ts";
import type { PortMapping } from "../lab/runtime.ts";
import { formatPort, labStatus, labStatusLines } from "../lab/status.ts";
import { type LabOverlay, MOST_NODES, parseOverlay } from "../lab/topology.ts";
import { labUp } from "../lab/up.ts";
import { count, show } from "../output.ts";
import { executable, requireRoot } from "../self.ts";
import { addTrafficCommands } from "./lab-traffic.ts";

const DEFAULT_LAB = "lab";
const DEFAULT_OVERLAY = "dcos";
const labName = checked((name) => checkName("lab", name));
const containerName = checked((name) => checkName("container", name));

/** `dcos-net lab`: a whole cluster on this machine. */
export function addLab(program: Command, app: App): void {
  const lab = program
    .command("lab")
    .description("a whole cluster on this machine: hosts as network namespaces, an agent in each")
    .addHelpText(
      "after",
      "\nNothing is made in the machine's own network namespace, and `lab down` removes everything.",
    );
  addUp(lab, app);
  addRun(lab, app);
  addExec(lab, app);
  addStatus(lab, app);
  addStop(lab, app);
  addDown(lab, app);
  addTrafficCommands(lab, app);
}

function contextOf(app: App): LabContext {
  requireRoot("work on a lab");
  const { kernel, files, out } = app;
  return { root: app.settings().config.lab_dir, kernel, files, out, executable: executable() };
}

interface UpOptions {
  readonly lab: string;
  readonly nodes: number;
  readonly overlay?: readonly LabOverlay[];
  readonly ipv4Only?: boolean;
  readonly masters?: number;
  readonly zk?: boolean;
  readonly static?: boolean;
  readonly docker?: boolean;
}

function addUp(lab: Command, app: App): void {
  lab
    .command("up")
    .description("bring up a lab and wait until every agent has converged")
    .option("--nodes <count>", "how many hosts", numberFrom(1, MOST_NODES), 3)
    .option("--lab <name>", "name of the lab; several can be up at once", labName, DEFAULT_LAB)
    .option(
      "--overlay <name=subnet,...>",
      "an overlay: NAME=SUBNET[,SUBNET6][,isolated]; may be repeated (default dcos=9.0.0.0/8,fd01:b::/64)",
      many(parseOverlay),
    )
    .option("--ipv4-only", "without any IPv6 address")
    .option("--masters <count>", "how many hosts are masters (default 1; 3 with --zk)", numberFrom(1, MOST_NODES))
    .option("--zk", "start a real ZooKeeper, in which the masters keep what they hand out")
    .option("--static", "no gossip and no masters: every agent reads the same nodes file")
    .option("--docker", "a Docker engine on every host, for `lab exec --node HOST -- docker ...`")
    .action(async (options: UpOptions, self: Command) => {
      const { lab: name, nodes, overlay: overlays = [], ipv4Only = false, zk = false, docker = false } = options;
      const { masters = zk ? 3 : 1 } = options;
      const isStatic = options.static === true;
      if (isStatic && (zk || options.masters !== undefined)) self.error("error: a static lab has no masters");
      const cluster = isStatic ? undefined : { masters, zooKeeper: zk };
      const stop = new AbortController();
      const interrupt = (by: NodeJS.Signals) =>
        stop.abort(new NetError("unavailable", { tried: `bring up lab ${name}`, said: `stopped by ${by}` }));
      process.on("SIGINT", interrupt).on("SIGTERM", interrupt).on("SIGHUP", interrupt);
      const { signal } = stop;
      await labUp(contextOf(app), { name, nodes, overlays, ipv4Only, cluster, docker, signal });
      app.out.line(`lab ${name} is up`);
    });
}

interface RunOptions {
  readonly lab: string;
  readonly node: string;
  readonly name: string;
  readonly overlay: string;
  readonly publish?: readonly PortMapping[];
  readonly task?: string;
  readonly vip?: readonly string[];
  readonly attach?: boolean;
  readonly json?: boolean;
}

function addRun(lab: Command, app: App): void {
  lab
    .command("run")
    .description("start a container on a host")
    .requiredOption("--node <host>", "the host: a number or name")
    .requiredOption("--name <name>", "name of the container", containerName)
    .option("--lab <name>", "name of the lab", labName, DEFAULT_LAB)
    .option("--overlay <name>", "the overlay to attach it to", DEFAULT_OVERLAY)
    .option("--publish <port>", "[ADDRESS:]HOST:CONTAINER[/PROTOCOL]; may be repeated", many(parsePublish))
    .option(
      "--task <name>",
      "name of its task; several containers may have one (default: the container's name)",
      containerName,
    )
    .option("--vip <label>", "virtual IP that it serves, NAME:PORT; may be repeated", many(parseVip))
    .option("--attach", "show the command's output and stop the container when it ends")
    .option("--json", "print JSON")
    .argument("<command...>", "what to run in the container, after --")
    .action(async (command: string[], options: RunOptions) => {
      const context = contextOf(app);
      const opened = openLab(context.root, options.lab);
      const { name, overlay, publish = [], vip: vips = [], attach = false, json = false } = options;
      const node = nodeOf(opened, options.node);
      const container = { name, task: options.task ?? name, node, overlay, command, publish, vips, attach };
      const { record, exited } = await runContainer(context, opened, container);
      if (attach) {
        app.exitCode = await untilEnd(exited);
        await stopContainer(context, opened, name);
        return;
      }
      show(app.out, json, record, ({ addresses = [] }) => [
        `${name} runs on ${node.name} at ${addresses.join(" ")}`,
        ...publish.map((port) => `${formatPort(port)} of ${node.name} leads to it`),
      ]);
    });
}

/** A label such as `/shop:80`; the port is also that of the container. */
function parseVip(label: string): string {
  const port = Number(/^.+:([1-9]\d{0,4})$/.exec(label)?.[1]);
  if (port <= 65_535) return label;
  throw new InvalidArgumentError("a name or address and a port are needed, such as shop:80");
}

/** The status of a command in the foreground. Ctrl-C is for the command; we stay to clean up after it. */
async function untilEnd(exited: Promise<number>): Promise<number> {
  const ignore = () => {};
  process.on("SIGINT", ignore);
  try {
    return await exited;
  } finally {
    process.off("SIGINT", ignore);
  }
}

interface ExecOptions {
  readonly lab: string;
  readonly name?: string;
  readonly node?: string;
}

function addExec(lab: Command, app: App): void {
  lab
    .command("exec")
    .description("run a command in a container, or on a host, in the foreground; its exit status is ours")
    .option("--name <name>", "the container", containerName)
    .option("--node <host>", "the host: a number or name")
    .option("--lab <name>", "name of the lab", labName, DEFAULT_LAB)
    .argument("<command...>", "what to run, after --")
    .action(async (command: string[], { lab: labName, name, node }: ExecOptions, self: Command) => {
      if ((name === undefined) === (node === undefined)) self.error("error: give either --name or --node");
      const context = contextOf(app);
      const opened = openLab(context.root, labName);
      const host = name === undefined ? nodeOf(opened, node ?? "") : undefined;
      const place = host?.netns ?? containerOf(context.files, opened, name ?? "").attachment.netns;
      const program = findProgram(command, opened.layout);
      const child = await inNamespace(context.kernel, place, (inside) =>
        inside.enter(() =>
          Bun.spawn([program, ...command.slice(1)], {
            env: { ...containerEnvironment(opened.layout, name ?? node ?? ""), ...dockerEnvironment(host) },
            stdio: ["inherit", "inherit", "inherit"],
          }),
        ),
      );
      app.exitCode = await untilEnd(child.exited);
    });
}

function addStatus(lab: Command, app: App): void {
  lab
    .command("status")
    .description("hosts, agents, containers and tunnel traffic; exit status 1 when a host isn't healthy")
    .option("--lab <name>", "name of the lab", labName, DEFAULT_LAB)
    .option("--json", "print JSON")
    .action(async ({ lab: name, json = false }: { lab: string; json?: boolean }) => {
      const context = contextOf(app);
      const status = await labStatus(context, openLab(context.root, name), Date.now());
      show(app.out, json, status, labStatusLines);
      if (!status.healthy) app.exitCode = EXIT.bad;
    });
  lab
    .command("list")
    .description("names of the labs that are up or half up")
    .option("--json", "print JSON")
    .action(({ json = false }: { json?: boolean }) => {
      const names = labNames(app.settings().config.lab_dir);
      show(app.out, json, names, () => (names.length === 0 ? ["no lab is up"] : names));
    });
}

function addStop(lab: Command, app: App): void {
  lab
    .command("stop")
    .description("end a container and give back its addresses and ports")
    .requiredOption("--name <name>", "the container", containerName)
    .option("--lab <name>", "name of the lab", labName, DEFAULT_LAB)
    .action(async ({ lab: labName, name }: { lab: string; name: string }) => {
      const context = contextOf(app);
      await stopContainer(context, openLab(context.root, labName), name);
      app.out.line(`${name} is stopped`);
    });
}

function addDown(lab: Command, app: App): void {
  lab
    .command("down")
    .description("take a lab down, whole or half made, and leave the machine as it was")
    .option("--lab <name>", "name of the lab", labName, DEFAULT_LAB)
    .action(async ({ lab: name }: { lab: string }) => {
      const { processes, namespaces } = await labDown(contextOf(app), name);
      app.out.line(
        `lab ${name} is down: ${count(processes, "process")} ended, ${count(namespaces, "namespace")} removed`,
      );
    });
}
