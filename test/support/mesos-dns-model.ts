import { createHash } from "node:crypto";

/** A state as a master gives it, as far as Mesos-DNS looks at it. Everything is there and well formed but the names. */
export interface ModelState {
  readonly leader: string;
  readonly slaves: readonly { readonly id: string; readonly address: string }[];
  readonly frameworks: readonly {
    readonly name: string;
    readonly address: string;
    readonly tasks: readonly ModelTask[];
  }[];
}

export interface ModelTask {
  readonly id: string;
  readonly name: string;
  readonly slave_id: string;
  readonly running: boolean;
  /** Ports of the agent. */
  readonly ports: readonly number[];
  readonly addresses: readonly string[];
  readonly discovery: { readonly name: string; readonly ports: readonly ModelPort[] } | undefined;
}

export interface ModelPort {
  readonly number: number;
  readonly protocol: "tcp" | "udp" | "";
  readonly name: string;
}

const SCHEDULER_PORT = 8081;
const AGENT_PORT = 5051;
const MASTER_PORT = 5050;

/** The state as `/master/state` has it. */
export function stateJson({ leader, slaves, frameworks }: ModelState): object {
  return {
    leader: `master@${leader}:${MASTER_PORT}`,
    slaves: slaves.map(({ id, address }) => ({ id, hostname: address, pid: `slave(1)@${address}:${AGENT_PORT}` })),
    frameworks: frameworks.map(({ name, address, tasks }) => ({
      name,
      pid: `scheduler@${address}:${SCHEDULER_PORT}`,
      hostname: address,
      tasks: tasks.map(({ running, ports, addresses, discovery, ...task }) => ({
        ...task,
        state: running ? "TASK_RUNNING" : "TASK_FINISHED",
        resources: { ports: `[${ports.map((port) => `${port}-${port}`).join(", ")}]` },
        statuses: [
          { state: "TASK_RUNNING", timestamp: 1, container_status: { network_infos: [networkOf(addresses)] } },
        ],
        ...(discovery && { discovery: { name: discovery.name, ports: { ports: discovery.ports } } }),
      })),
    })),
  };
}

function networkOf(addresses: readonly string[]): object {
  return { ip_addresses: addresses.map((ip_address) => ({ ip_address })) };
}

/** What Mesos-DNS has for such a state with its default settings, `TYPE name value` in any order: written anew from
 *  what is known of the real one, as a table of names, to be compared with what we make. */
export function modelRecords({ leader, slaves, frameworks }: ModelState): Set<string> {
  const model = new Model();
  for (const name of ["leader", "master", "master0"]) model.addresses(name, [leader]);
  for (const protocol of ["tcp", "udp"]) model.service(`_leader._${protocol}`, "leader", MASTER_PORT);
  for (const { address } of slaves) {
    model.addresses("slave", [address]);
    model.service("_slave._tcp", "slave", AGENT_PORT);
  }
  for (const { name, address, tasks } of frameworks) {
    const framework = domainLabels(name);
    if (framework !== "") model.addresses(framework, [address]);
    if (framework !== "") model.service(`_framework._tcp.${framework}`, framework, SCHEDULER_PORT);
    for (const task of tasks) {
      const agent = slaves.find(({ id }) => id === task.slave_id);
      if (task.running && agent !== undefined) model.task(task, framework === "" ? "" : `.${framework}`, agent.address);
    }
  }
  return model.records;
}

class Model {
  readonly records = new Set<string>();

  addresses(name: string, addresses: readonly string[]): void {
    for (const ip of addresses) this.records.add(`${ip.includes(":") ? "AAAA" : "A"} ${name}.mesos. ${ip}`);
  }

  service(name: string, target: string, port: number): void {
    this.records.add(`SRV ${name}.mesos. ${target}.mesos.:${port}`);
  }

  /** `under`: the framework with a dot before it. */
  task(task: ModelTask, under: string, agent: string): void {
    const given = task.discovery?.name || undefined;
    const cleaned = label(given ?? task.name);
    const ports = given === undefined ? undefined : task.discovery?.ports;
    for (const name of given === undefined ? [cleaned] : [given, cleaned]) {
      const unique = `${name}-${hash(task.id)}-${suffix(task.slave_id)}`;
      for (const each of [name, unique]) {
        this.addresses(`${each}${under}`, task.addresses.length > 0 ? task.addresses : [agent]);
        this.addresses(`${each}${under}.slave`, [agent]);
      }
      for (const protocol of ["tcp", "udp"]) {
        for (const port of task.ports)
          this.agentPort(`_${name}._${protocol}${under}`, `${unique}${under}`, port, ports);
      }
      for (const port of ports ?? []) this.discoveryPort(name, `${unique}${under}`, port, under);
    }
  }

  /** Without discovery information they are found beside the task's own names, too. */
  agentPort(service: string, target: string, port: number, discovery: readonly ModelPort[] | undefined): void {
    this.service(`${service}.slave`, `${target}.slave`, port);
    if (discovery === undefined) this.service(service, `${target}.slave`, port);
  }

  discoveryPort(name: string, target: string, port: ModelPort, under: string): void {
    for (const protocol of port.protocol === "" ? ["tcp", "udp"] : [port.protocol]) {
      const service = `_${name}._${protocol}${under}`;
      this.service(service, target, port.number);
      if (port.name !== "") this.service(`_${label(port.name)}.${service}`, target, port.number);
    }
  }
}

/** RFC 1123 with its refill: what was cut off takes the room of dashes at the cut. */
function label(text: string): string {
  const kept = [...text]
    .map((character) => (/[A-Z]/.test(character) ? character.toLowerCase() : character))
    .flatMap((character) => (/[a-z0-9]/.test(character) ? character : "-._".includes(character) ? "-" : []))
    .join("")
    .replace(/^-+/, "");
  const [cut, rest] = [kept.slice(0, 63), kept.slice(63)];
  const trimmed = cut.replace(/-+$/, "");
  return trimmed.length === cut.length ? trimmed : trimmed + rest.replace(/^-+/, "").slice(0, 63 - trimmed.length);
}

function domainLabels(text: string): string {
  return text
    .split(".")
    .map(label)
    .filter((part) => part !== "")
    .join(".");
}

const ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769";

/** First five characters of the SHA-1 in z-base-32. */
function hash(id: string): string {
  const bits = [...createHash("sha1").update(id).digest()].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return Array.from(
    { length: 5 },
    (_, index) => ALPHABET[Number.parseInt(bits.slice(index * 5, index * 5 + 5), 2)],
  ).join("");
}

function suffix(agentId: string): string {
  return agentId.slice(agentId.lastIndexOf("-") + 1).toLowerCase();
}
