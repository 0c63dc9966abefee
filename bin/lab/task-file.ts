import type { Files } from "../../lib/files.ts";
import type { PortMapping } from "./runtime.ts";

/** Framework of the tasks of a lab. */
const FRAMEWORK = "lab";

/** A container as the agent of its host is to know it. */
export interface LabTask {
  /** Unique in the lab. */
  readonly container: string;
  /** Name of the task: several containers of one name are its instances. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly publish: readonly PortMapping[];
  /** Labels `<name or address>:<port>`, of the container's port with the same number. */
  readonly vips: readonly string[];
}

/** Tells the agent of a host of a container, by a file in its directory of tasks (setting task_dir). */
export function writeTaskFile(files: Files, directory: string, task: LabTask): void {
  const definition = {
    framework: FRAMEWORK,
    tasks: [
      {
        id: task.container,
        name: task.name,
        // On an overlay an address is the container's own, mapped ports or not.
        mode: "container",
        addresses: task.addresses,
        ports: portsOf(task),
      },
    ],
  };
  files.replace(taskPath(directory, task.container), `${JSON.stringify(definition, null, 2)}\n`, 0o644);
}

/** Tells the agent that a container is about to end, so that virtual IPs send no new connections to it; false when
 *  there was nothing to tell. */
export function endTaskFile(files: Files, directory: string, container: string): boolean {
  const bytes = files.read(taskPath(directory, container));
  if (bytes === undefined) return false;
  const definition = JSON.parse(new TextDecoder().decode(bytes)) as { readonly tasks: readonly object[] };
  const tasks = definition.tasks.map((task) => ({ ...task, state: "killing" }));
  files.replace(taskPath(directory, container), `${JSON.stringify({ ...definition, tasks }, null, 2)}\n`, 0o644);
  return true;
}

/** False when there was none. */
export function removeTaskFile(files: Files, directory: string, container: string): boolean {
  return files.remove(taskPath(directory, container));
}

function taskPath(directory: string, container: string): string {
  return `${directory}/lab-${container}.json`;
}

interface TaskFilePort {
  readonly protocol: string;
  readonly container: number;
  readonly host?: number;
  readonly vips: string[];
}

/** Ports that lead in from the host, and those that virtual IPs lead to. */
function portsOf({ publish, vips }: LabTask): TaskFilePort[] {
  const ports = publish
    .filter(({ protocol }) => protocol !== "sctp")
    .map(({ hostPort, containerPort, protocol }): TaskFilePort => {
      return { protocol, container: containerPort, host: hostPort, vips: [] };
    });
  for (const vip of vips) {
    const container = Number(vip.slice(vip.lastIndexOf(":") + 1));
    const port = ports.find((each) => each.protocol === "tcp" && each.container === container);
    if (port === undefined) ports.push({ protocol: "tcp", container, vips: [vip] });
    else port.vips.push(vip);
  }
  return ports;
}
