import { type LabelMode, mesosFragment, mesosLabel } from "../label.ts";
import { agentSuffix, taskHash } from "../zbase32.ts";
import type { IpSource } from "./config.ts";
import type { HostPort, MesosState, StateTask } from "./state.ts";

/** Which addresses of a task count: those of the first source that has any (Mesos-DNS since 2020), or the first IPv4
 *  and the first IPv6 of all sources together (before, as DC/OS has it). */
export type SourceRule = "first" | "together";

export interface RecordOptions {
  readonly domain: string;
  readonly labels: LabelMode;
  readonly sources: readonly IpSource[];
  readonly sourceRule: SourceRule;
  /** Masters in their order, the first one taken for the leader before it is known. */
  readonly masters: readonly HostPort[];
  /** Absolute name of the name server, with closing dot, and its addresses. */
  readonly server: string;
  readonly serverAddresses: readonly string[];
  /** Addresses in canonical text of every host in the state and among the masters; none for those that can't be
   *  resolved. An address resolves to itself. */
  readonly resolve: (host: string) => readonly string[];
}

/** A record as /v1/axfr shows it: absolute name, and an address or `host.:port`. */
export interface MesosRecord {
  readonly name: string;
  readonly rtype: "A" | "AAAA" | "SRV";
  readonly host: string;
}

/** The records of one task, for /v1/enumerate. */
export interface TaskRecords {
  readonly framework: string;
  readonly name: string;
  readonly id: string;
  readonly records: readonly MesosRecord[];
}

export interface MesosRecords {
  /** Each once. */
  readonly records: readonly MesosRecord[];
  readonly tasks: readonly TaskRecords[];
}

/** All that Mesos-DNS has for a state, in the order in which it makes them. Pure. */
export function mesosRecords(state: MesosState, options: RecordOptions): MesosRecords {
  const made = new Made();
  const { domain, resolve } = options;
  for (const { name, scheduler } of state.frameworks) {
    const fragment = mesosFragment(name, options.labels);
    // One without letters or digits would have the zone's own name.
    if (scheduler === undefined || fragment === "") continue;
    const host = `${under(fragment, domain)}.`;
    made.addresses(host, resolve(scheduler.host));
    if (scheduler.port !== undefined) made.service(`_framework._tcp.${host}`, host, scheduler.port);
  }
  for (const { endpoint } of state.agents) {
    const addresses = endpoint === undefined ? [] : resolve(endpoint.host);
    if (endpoint === undefined || addresses.length === 0) continue;
    made.addresses(`slave.${domain}.`, addresses);
    made.service(`_slave._tcp.${domain}.`, `slave.${domain}.`, endpoint.port);
  }
  made.addresses(options.server, options.serverAddresses);
  addMasters(made, state.leader, options);
  const agents = new Map(state.agents.map(({ id, endpoint }) => [id, endpoint && resolve(endpoint.host)]));
  for (const framework of state.frameworks) {
    for (const task of framework.tasks) {
      if (!agents.has(task.agentId)) continue;
      made.task(framework.name, task, () =>
        addTask(made, framework.name, task, agents.get(task.agentId) ?? [], options),
      );
    }
  }
  return made;
}

class Made implements MesosRecords {
  readonly records: MesosRecord[] = [];
  readonly tasks: TaskRecords[] = [];
  readonly #seen = new Set<string>();

  addresses(name: string, addresses: readonly string[]): void {
    for (const address of addresses) this.#add({ name, rtype: address.includes(":") ? "AAAA" : "A", host: address });
  }

  service(name: string, target: string, port: number): void {
    this.#add({ name, rtype: "SRV", host: `${target}:${port}` });
  }

  /** A record that several tasks have is shown with the first. */
  task(framework: string, { name, id }: StateTask, add: () => void): void {
    const before = this.records.length;
    add();
    this.tasks.push({ framework, name, id, records: this.records.slice(before) });
  }

  #add(record: MesosRecord): void {
    const key = `${record.rtype} ${record.name} ${record.host}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.records.push(record);
  }
}

/** `masterN` follows the order of the list; a leader that isn't in it comes last. */
function addMasters(made: Made, leader: HostPort, { domain, masters, resolve }: RecordOptions): void {
  const leaders = resolve(leader.host);
  made.addresses(`leader.${domain}.`, leaders);
  for (const protocol of ["_tcp", "_udp"])
    made.service(`_leader.${protocol}.${domain}.`, `leader.${domain}.`, leader.port);
  made.addresses(`master.${domain}.`, leaders);
  const numbered = new Set<string>();
  for (const { host } of [...masters, leader]) {
    const addresses = resolve(host);
    if (addresses.length === 0 || addresses.every((address) => numbered.has(address))) continue;
    made.addresses(`master.${domain}.`, addresses);
    made.addresses(`master${numbered.size}.${domain}.`, addresses);
    numbered.add(addresses[0] ?? "");
  }
}

/** With discovery information everything is there twice: under its name as it is, which older clients know, and under
 *  the label made of it. */
function addTask(
  made: Made,
  framework: string,
  task: StateTask,
  agentAddresses: readonly string[],
  options: RecordOptions,
): void {
  const label = mesosLabel(task.discovery?.name ?? task.name, options.labels);
  const names = task.discovery === undefined ? [label] : [...new Set([task.discovery.name, label])];
  for (const name of names) addNames(made, name, framework, task, agentAddresses, options);
}

function addNames(
  made: Made,
  name: string,
  framework: string,
  task: StateTask,
  agentAddresses: readonly string[],
  options: RecordOptions,
): void {
  const { domain, labels } = options;
  const fragment = mesosFragment(framework, labels);
  const host = under(fragment, domain);
  const agentHost = under(fragment, `slave.${domain}`);
  const instance = `${name}-${taskHash(task.id)}-${agentSuffix(task.agentId)}`;
  const addresses = taskAddresses(task, agentAddresses, options);
  for (const each of [name, instance]) {
    made.addresses(`${each}.${host}.`, addresses);
    made.addresses(`${each}.${agentHost}.`, agentAddresses);
  }
  for (const protocol of ["_tcp", "_udp"]) {
    for (const port of task.ports) {
      made.service(`_${name}.${protocol}.${agentHost}.`, `${instance}.${agentHost}.`, port);
      if (task.discovery === undefined)
        made.service(`_${name}.${protocol}.${host}.`, `${instance}.${agentHost}.`, port);
    }
  }
  for (const { number, protocol, name: port } of task.discovery?.ports ?? []) {
    for (const each of protocol === "" ? ["tcp", "udp"] : [mesosLabel(protocol, labels)]) {
      const service = `_${name}._${each}.${host}.`;
      made.service(service, `${instance}.${host}.`, number);
      if (port !== "") made.service(`_${mesosLabel(port, labels)}.${service}`, `${instance}.${host}.`, number);
    }
  }
}

function taskAddresses(
  { addresses }: StateTask,
  agentAddresses: readonly string[],
  { sources, sourceRule }: RecordOptions,
): readonly string[] {
  const lists = sources.map((source) => (source === "host" ? agentAddresses : addresses[source]));
  if (sourceRule === "first") return lists.find((each) => each.length > 0) ?? [];
  const all = lists.flat();
  const v4 = all.find((address) => !address.includes(":"));
  const v6 = all.find((address) => address.includes(":"));
  return [v4, v6].flatMap((address) => address ?? []);
}

/** A framework whose name has no letters or digits is left out of its tasks' names. */
function under(fragment: string, domain: string): string {
  return fragment === "" ? domain : `${fragment}.${domain}`;
}
