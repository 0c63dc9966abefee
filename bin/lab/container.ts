import { closeSync, existsSync, openSync, readdirSync, rmSync } from "node:fs";
import { formatIp, parsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import { endProcesses, netnsIdentity, type ProcessId, processesIn, processOf } from "../process.ts";
import { inNamespace, type Lab, type LabContext, locked } from "./lab.ts";
import { type ContainerLayout, containerLayout, type LabLayout, type NodeLayout, nodeLayout } from "./layout.ts";
import { type Attachment, attach, detach, type PortMapping, pluginConfigs } from "./runtime.ts";
import { endTaskFile, removeTaskFile, writeTaskFile } from "./task-file.ts";

const IFNAME = "eth0";
const GRACE_MS = 2000;
/** Time for all hosts to hear that a container is about to end. */
const NOTICE_MS = 1500;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a lab knows of a container, as JSON beside its namespace. Written before the container is made, so that
 *  whatever a killed command left of it can be removed. */
export interface ContainerRecord {
  readonly version: 1;
  readonly name: string;
  readonly node: string;
  readonly overlay: string;
  readonly command: readonly string[];
  readonly publish: readonly PortMapping[];
  /** Virtual IPs that the container is a backend of: labels `<name or address>:<port>`. */
  readonly vips: readonly string[];
  readonly attachment: Attachment;
  /** Absent while the container is being made. */
  readonly addresses?: readonly string[];
  readonly process?: ProcessId;
}

export interface RunOptions {
  readonly name: string;
  readonly node: NodeLayout;
  /** Name of its task. */
  readonly task: string;
  readonly overlay: string;
  readonly command: readonly string[];
  readonly publish: readonly PortMapping[];
  readonly vips: readonly string[];
  /** Keep the terminal instead of writing to the container's log. */
  readonly attach: boolean;
}

export interface RunningContainer {
  readonly record: ContainerRecord;
  /** Status of the command once it has ended. */
  readonly exited: Promise<number>;
}

/** Starts a container: a namespace, attached by our own CNI plugin with the configuration that the host's agent
 *  wrote, and the command in it as a session of its own. On failure nothing of it is left. */
export async function runContainer(context: LabContext, lab: Lab, options: RunOptions): Promise<RunningContainer> {
  return locked(context, lab.layout, async () => {
    refuseSecond(context.files, lab, options.name);
    const place = containerLayout(options.node, options.name);
    const record = recordOf(context.files, options, place);
    context.files.makeDirectory(place.dir);
    writeRecord(context.files, place, record);
    try {
      return await make(context, lab, options, place, record);
    } catch (error) {
      await remove(context, lab.layout, record);
      throw error;
    }
  });
}

function recordOf(files: Files, options: RunOptions, place: ContainerLayout): ContainerRecord {
  const { name, node, overlay, command, publish, vips } = options;
  const source = `${node.cniDir}/${overlay}.conflist`;
  const conflist = files.read(source);
  if (conflist === undefined) {
    const names = readdirSync(node.cniDir).flatMap((file) => /^(.*)\.conflist$/.exec(file)?.[1] ?? []);
    throw new NetError("not-found", {
      tried: `attach ${name} to overlay ${overlay}`,
      said: `host ${node.name} has: ${names.join(", ") || "none"}`,
    });
  }
  const plugins = pluginConfigs(new TextDecoder().decode(conflist), source, publish, node.cniLog);
  const attachment = { containerId: name, netns: place.netns, ifname: IFNAME, plugins };
  return { version: 1, name, node: node.name, overlay, command, publish, vips, attachment };
}

async function make(
  { kernel, files }: LabContext,
  lab: Lab,
  options: RunOptions,
  place: ContainerLayout,
  planned: ContainerRecord,
): Promise<RunningContainer> {
  const program = findProgram(options.command, lab.layout);
  kernel.createNetns(place.netns);
  const result = await inNamespace(kernel, options.node.netns, (host) =>
    attach({ kernel: host, bin: lab.layout.bin }, planned.attachment),
  );
  const addresses = (result.ips ?? []).map(({ address }) => formatIp(parsePrefix(address).ip));
  const log = openSync(place.output, "a", 0o644);
  try {
    const output = options.attach ? "inherit" : log;
    const child = await inNamespace(kernel, place.netns, (container) => {
      container.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
      return container.enter(() =>
        Bun.spawn([program, ...options.command.slice(1)], {
          cwd: "/",
          env: containerEnvironment(lab.layout, options.name),
          stdio: [options.attach ? "inherit" : "ignore", output, output],
          // A terminal takes input only from the session that it belongs to.
          detached: !options.attach,
        }),
      );
    });
    if (!options.attach) child.unref();
    const started = processOf(child.pid);
    const task = {
      container: options.name,
      name: options.task,
      addresses,
      publish: options.publish,
      vips: options.vips,
    };
    writeTaskFile(files, options.node.tasks, task);
    const record = { ...planned, addresses, ...(started === undefined ? {} : { process: started }) };
    writeRecord(files, place, record);
    return { record, exited: child.exited };
  } finally {
    closeSync(log);
  }
}

/** Variables of commands in the lab: the lab's own links come first on PATH, so that `dcos-net` is always this one. */
export function containerEnvironment(layout: LabLayout, name: string): Record<string, string> {
  const { PATH: path = PATH, HOME = "/", TERM = "dumb", LANG = "C.UTF-8" } = process.env;
  return { PATH: `${layout.bin}:${path}`, HOME, TERM, LANG, DCOS_NET_CONTAINER: name };
}

/** The program that a command names, looked for on the PATH of the lab. Throws a NetError `not-found`. */
export function findProgram(command: readonly string[], layout: LabLayout): string {
  const [name = ""] = command;
  const found = Bun.which(name, { PATH: containerEnvironment(layout, "")["PATH"] ?? PATH });
  if (found !== null) return found;
  throw new NetError("not-found", {
    tried: `run ${JSON.stringify(name)}`,
    said: "it isn't on PATH",
    remedy: "give its path",
  });
}

/** Ends a container and gives back all that it held. Works on one that was only half made, too. That one with virtual
 *  IPs is ending is announced first, as a framework does, so that no new connections come while it ends. */
export async function stopContainer(context: LabContext, lab: Lab, name: string): Promise<void> {
  await locked(context, lab.layout, async () => {
    const record = containerOf(context.files, lab, name);
    const { tasks } = nodeLayout(lab.layout, record.node);
    if (record.vips.length > 0 && endTaskFile(context.files, tasks, name)) await Bun.sleep(NOTICE_MS);
    await remove(context, lab.layout, record);
  });
}

async function remove({ kernel, files }: LabContext, layout: LabLayout, record: ContainerRecord): Promise<void> {
  const node = nodeLayout(layout, record.node);
  // First the name goes, then what it leads to.
  removeTaskFile(files, node.tasks, record.name);
  const place = containerLayout(node, record.name);
  const identity = netnsIdentity(place.netns);
  const inside = new Set(identity === undefined ? [] : [identity]);
  if (!(await endProcesses(() => processesIn(inside), GRACE_MS))) {
    throw new NetError("busy", {
      tried: `stop container ${record.name}`,
      said: "its processes do not end",
      remedy: "end them",
    });
  }
  await inNamespace(kernel, node.netns, (host) => detach({ kernel: host, bin: layout.bin }, record.attachment));
  kernel.deleteNetns(place.netns);
  rmSync(place.dir, { recursive: true, force: true });
}

/** Every container of a lab, by host and name. */
export function containersOf(files: Files, lab: Lab): ContainerRecord[] {
  return lab.nodes.flatMap((node) => {
    if (!existsSync(node.containers)) return [];
    return readdirSync(node.containers)
      .sort()
      .flatMap((name) => readRecord(files, containerLayout(node, name)) ?? []);
  });
}

/** Finds a container by name. Throws a NetError `not-found` that names those there are. */
export function containerOf(files: Files, lab: Lab, name: string): ContainerRecord {
  const all = containersOf(files, lab);
  const found = all.find((record) => record.name === name);
  if (found !== undefined) return found;
  const names = all.map((record) => record.name).join(", ");
  throw new NetError("not-found", {
    tried: `find container ${name} of lab ${lab.layout.name}`,
    said: names === "" ? "no container runs in it" : `it has ${names}`,
  });
}

function refuseSecond(files: Files, lab: Lab, name: string): void {
  const other = containersOf(files, lab).find((record) => record.name === name);
  if (other === undefined) return;
  throw new NetError("already-exists", {
    tried: `start container ${name}`,
    said: `host ${other.node} has one of this name`,
    remedy: `stop it with \`dcos-net lab stop --name ${name}\`, or choose another name`,
  });
}

function readRecord(files: Files, place: ContainerLayout): ContainerRecord | undefined {
  const bytes = files.read(place.record);
  return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as ContainerRecord);
}

function writeRecord(files: Files, place: ContainerLayout, record: ContainerRecord): void {
  files.replace(place.record, `${JSON.stringify(record, null, 2)}\n`, 0o644);
}
