import { LIMIT } from "../limit.ts";
import { integer, ipText, list, maybe, object, oneOf, type Parser, ShapeError, text, textSet } from "../shape.ts";
import type {
  Framework,
  Health,
  NetworkMode,
  PortBalance,
  Protocol,
  Runtime,
  Task,
  TaskAddress,
  TaskPort,
  TaskState,
} from "../task.ts";
import { portNumber, protocol } from "../task-shape.ts";
import { type LocalAgent, localFrameworkId, nodePorts, publishedPorts } from "./agent.ts";

/** Tasks of one file at most. */
const TASKS_MOST = 10_000;

/** A port as the file says it. */
interface PortDefinition {
  readonly name?: string;
  readonly protocol?: Protocol;
  readonly container?: number;
  readonly host?: number;
  readonly vips?: readonly string[];
  readonly scheduler?: "wlc" | "rr" | "sh" | "mh";
  /** Seconds. */
  readonly affinity?: number;
  readonly weight?: number;
}

interface TaskDefinition {
  readonly id?: string;
  readonly name: string;
  readonly addresses?: readonly TaskAddress[];
  readonly mode?: NetworkMode;
  readonly runtime?: Runtime;
  readonly ports?: readonly PortDefinition[];
  readonly state?: TaskState;
  readonly health?: Health;
}

interface FileDefinition {
  readonly framework?: string;
  readonly tasks: readonly TaskDefinition[];
}

const label = text(LIMIT.text);
const addressObject = object<TaskAddress>({ address: ipText, network: maybe(label) }, "strict");

/** An address alone, or with the name of its network. */
const address: Parser<TaskAddress> = (value, at) =>
  typeof value === "string" ? { address: ipText(value, at) } : addressObject(value, at);

const port = object<PortDefinition>(
  {
    name: maybe(label),
    protocol: maybe(protocol),
    container: maybe(portNumber),
    host: maybe(portNumber),
    vips: maybe(textSet(vipLabel, LIMIT.vips)),
    scheduler: maybe(oneOf("wlc", "rr", "sh", "mh")),
    affinity: maybe(integer(0, 86_400)),
    weight: maybe(integer(0, 65_535)),
  },
  "strict",
);

const task = object<TaskDefinition>(
  {
    id: maybe(label),
    name: label,
    addresses: maybe(list(address, LIMIT.addresses)),
    mode: maybe(oneOf("host", "bridge", "container")),
    runtime: maybe(oneOf("mesos", "docker", "other")),
    ports: maybe(list(port, LIMIT.ports)),
    state: maybe(oneOf("preparing", "running", "killing", "terminal")),
    health: maybe(oneOf("healthy", "unhealthy", "unknown")),
  },
  "strict",
);

const file = object<FileDefinition>({ framework: maybe(label), tasks: list(task, TASKS_MOST) }, "strict");

/** The tasks that the content of a file defines, as facts/README.md says. `stem` is the file's name without its ending:
 *  tasks without an id of their own are `<stem>.<position>`. Throws a ShapeError that names the place. */
export function tasksOf(content: unknown, stem: string, agent: LocalAgent): Task[] {
  const { framework: name = "file", tasks } = file(content, "");
  const framework = { id: localFrameworkId("file", agent, name), name };
  const ids = new Set<string>();
  return tasks.map((definition, index) => {
    const at = `tasks[${index}]`;
    const made = taskOf(definition, definition.id ?? `${stem}.${index}`, framework, agent, at);
    if (ids.has(made.id)) throw new ShapeError(`${at}.id`, `${JSON.stringify(made.id)} is the id of two tasks`);
    ids.add(made.id);
    return made;
  });
}

function taskOf(definition: TaskDefinition, id: string, framework: Framework, agent: LocalAgent, at: string): Task {
  const mode = definition.mode ?? modeOf(definition);
  const addresses = mode === "host" ? hostAddresses(definition, agent, at) : (definition.addresses ?? []);
  const ports = (definition.ports ?? []).map((entry, index) => portOf(entry, mode, `${at}.ports[${index}]`));
  return {
    id,
    framework,
    name: definition.name,
    discovery: { visibility: "cluster", ports: publishedPorts(ports) },
    agent,
    addresses,
    mode,
    runtime: definition.runtime ?? "other",
    ports,
    agentPorts: nodePorts(ports),
    state: definition.state ?? "running",
    health: definition.health ?? "unknown",
    observer: "node",
  };
}

/** Without addresses of its own a task is the node's; with host ports its addresses are behind these. */
function modeOf({ addresses = [], ports = [] }: TaskDefinition): NetworkMode {
  if (addresses.length === 0) return "host";
  return ports.some(({ host }) => host !== undefined) ? "bridge" : "container";
}

function hostAddresses(definition: TaskDefinition, agent: LocalAgent, at: string): TaskAddress[] {
  if (definition.addresses !== undefined && definition.addresses.length > 0)
    throw new ShapeError(`${at}.addresses`, "are given, but a task in host mode has the addresses of its node");
  return agent.addresses.map((node) => ({ address: node }));
}

function portOf(definition: PortDefinition, mode: NetworkMode, at: string): TaskPort {
  const { container, host, name, vips = [] } = definition;
  if (container === undefined && host === undefined) throw new ShapeError(at, "needs 'container' or 'host'");
  if (mode === "host" && container !== undefined && host !== undefined && container !== host)
    throw new ShapeError(at, "has two port numbers, but a task in host mode has only those of its node");
  const balance = balanceOfPort(definition);
  const shared = {
    protocol: definition.protocol ?? "tcp",
    ...(name !== undefined && { name }),
    vips,
    ...(balance !== undefined && { balance }),
  };
  if (mode === "host") return { ...shared, container: container ?? host ?? 0 };
  return { ...shared, ...(host !== undefined && { host }), ...(container !== undefined && { container }) };
}

function balanceOfPort({ scheduler, affinity, weight }: PortDefinition): PortBalance | undefined {
  const said = Object.entries({ scheduler, affinity, weight }).filter(([, value]) => value !== undefined);
  return said.length === 0 ? undefined : Object.fromEntries(said.map(([name, value]) => [name, String(value)]));
}

/** `<name or address>:<port>`, split at the last colon as DC/OS does. */
function vipLabel(value: unknown, at: string): string {
  const found = label(value, at);
  const colon = found.lastIndexOf(":");
  const number = found.slice(colon + 1);
  if (colon < 1 || !/^[1-9]\d{0,4}$/.test(number) || Number(number) > 65_535)
    throw new ShapeError(at, `${JSON.stringify(found)} is not <name or address>:<port>, such as /shop:80`);
  return found;
}
