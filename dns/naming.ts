import type { Task, TaskPort } from "../facts/task.ts";
import { dcosFragment, dcosLabel } from "../lib/dcos-label.ts";
import { isUnder, LABEL_BYTES, type Name, renamed } from "./name.ts";
import { addressData, type DnsRecord, type RecordData } from "./record.ts";
import { reverseName } from "./reverse.ts";
import { agentSuffix, taskHash } from "./zbase32.ts";

/** Seconds that every record of DC/OS may be kept: task records move within seconds. */
const TTL = 5;
const DIRECTORY = "thisdcos.directory";
const DCOS = `dcos.${DIRECTORY}`;
const MESOS = `mesos.${DIRECTORY}`;
const L4LB = `l4lb.${DIRECTORY}`;
const THIS_NODE = `thisnode.${DIRECTORY}`;

/** A named virtual IP. */
export interface NamedVip {
  /** What stands before the last `:` of the VIP label. */
  readonly label: string;
  /** Framework name of its tasks. */
  readonly framework: string;
  /** At most one of each family, canonical text. */
  readonly addresses: readonly string[];
}

/** What is known of the cluster beside tasks and virtual IPs. Addresses are canonical text. */
export interface Cluster {
  /** One address of each family at most for each master. */
  readonly masters: readonly string[];
  /** Addresses of the leading master. */
  readonly leader: readonly string[];
  /** This node's own. */
  readonly node: readonly string[];
  /** Addresses under which this node is reached from outside. */
  readonly publicNode: readonly string[];
}

/** A node as others know it. */
export interface NamedNode {
  /** Host name. */
  readonly name: string;
  /** Canonical text. */
  readonly addresses: readonly string[];
}

/** An alias that the operator defines. */
export interface CustomAlias {
  readonly name: Name;
  readonly target: Name;
}

/** What names are made of. */
export type Subject =
  | { readonly kind: "fixed" }
  | { readonly kind: "cluster"; readonly cluster: Cluster }
  | { readonly kind: "node"; readonly node: NamedNode }
  | { readonly kind: "task"; readonly task: Task }
  | { readonly kind: "vip"; readonly vip: NamedVip }
  | { readonly kind: "mesos"; readonly record: DnsRecord; readonly domain: Name }
  | { readonly kind: "custom"; readonly alias: CustomAlias };

type SubjectOf<K extends Subject["kind"]> = Extract<Subject, { kind: K }>;

/** One form of names: of what it is made, how it reads, and its records. */
export interface NamingRule {
  /** Named in traces and tests. */
  readonly id: string;
  readonly kind: Subject["kind"];
  /** The form, for people: parts in angle brackets vary. */
  readonly form: string;
  readonly records: (subject: Subject) => readonly DnsRecord[];
}

function rule<K extends Subject["kind"]>(
  id: string,
  kind: K,
  form: string,
  records: (subject: SubjectOf<K>) => readonly DnsRecord[],
): NamingRule {
  return { id, kind, form, records: (subject) => (isKind(subject, kind) ? records(subject) : []) };
}

function isKind<K extends Subject["kind"]>(subject: Subject, kind: K): subject is SubjectOf<K> {
  return subject.kind === kind;
}

/** How a task is reached under one of the three kinds of names. */
interface Reach {
  readonly addresses: readonly string[];
  readonly portOf: (port: TaskPort) => number | undefined;
}

/** The three kinds of names of a task: at its node, at its container, and where others reach it best. */
const KINDS: Readonly<Record<"agentip" | "containerip" | "autoip", (task: Task) => Reach>> = {
  agentip: atAgent,
  containerip: atContainer,
  autoip: (task) => {
    const mapped = task.ports.some(({ host }) => host !== undefined);
    return mapped || task.addresses.length === 0 ? atAgent(task) : atContainer(task);
  },
};

type Kind = keyof typeof KINDS;

/** Every form of names there is. A new form is a new line here with its example in the test. */
export const NAMING_RULES: readonly NamingRule[] = [
  rule("ready", "fixed", "ready.spartan", () => addresses("ready.spartan", ["127.0.0.1"])),
  rule("name-server", "fixed", "ns.spartan", () => addresses("ns.spartan", ["198.51.100.1", "fd01:d::c633:6401"])),
  rule("localhost", "fixed", "localhost", () => addresses("localhost", ["127.0.0.1", "::1"])),
  rule("zk", "cluster", "zk-<1…5>.zk", ({ cluster }) => zooKeepers(cluster.masters)),
  rule("leader", "cluster", `leader.${DCOS}`, ({ cluster }) => addresses(`leader.${DCOS}`, cluster.leader)),
  rule("master", "cluster", `master.${DCOS}`, ({ cluster }) => addresses(`master.${DCOS}`, cluster.masters)),
  rule("thisnode", "cluster", THIS_NODE, ({ cluster }) => addresses(THIS_NODE, cluster.node)),
  rule("public-thisnode", "cluster", `public.${THIS_NODE}`, ({ cluster }) =>
    addresses(`public.${THIS_NODE}`, cluster.publicNode),
  ),
  rule("node", "node", `<host name>.node.${DCOS}`, ({ node }) => nodeAddresses(node)),
  rule("node-reverse", "node", "<address>.in-addr.arpa", ({ node }) =>
    nodeAddresses(node).flatMap(({ name, data }) => ("address" in data ? [pointer(data.address, name)] : [])),
  ),
  ...(["agentip", "containerip", "autoip"] as const).flatMap(taskRules),
  rule("container-reverse", "task", "<address>.in-addr.arpa", ({ task }) => containerReverse(task)),
  rule("vip", "vip", `<name>.<framework>.${L4LB}`, ({ vip }) => addresses(vipName(vip), vip.addresses)),
  rule("vip-reverse", "vip", "<address>.in-addr.arpa", ({ vip }) =>
    vip.addresses.map((address) => pointer(address, vipName(vip))),
  ),
  rule("mesos", "mesos", `<Mesos-DNS name>.${MESOS}`, ({ record, domain }) => mesosCopy(record, domain)),
  rule("custom", "custom", `<name>.${DIRECTORY}`, ({ alias: { name, target } }) => [
    { name, ttl: TTL, data: { type: "CNAME", target } },
  ]),
];

/** All records of a subject. */
export function recordsOf(subject: Subject): DnsRecord[] {
  return NAMING_RULES.filter(({ kind }) => kind === subject.kind).flatMap(({ records }) => records(subject));
}

/** Names of other forms that mean the same (dcos_dns_router). `clusterId` is the z-base-32 text of the cluster's public
 *  key, where there is one. */
export function aliases(clusterId?: string): { readonly from: Name; readonly to: Name }[] {
  return [
    { from: `dclb.${DIRECTORY}`, to: L4LB },
    { from: "dclb.thisdcos.global", to: L4LB },
    { from: "thisdcos.global", to: DIRECTORY },
    ...(clusterId === undefined
      ? []
      : [
          { from: `dclb.${clusterId}.dcos.directory`, to: L4LB },
          { from: `${clusterId}.dcos.directory`, to: DIRECTORY },
        ]),
  ];
}

/** Zones that we answer for everywhere. `thisdcos.directory` itself is one of them, so that no name of the cluster is
 *  ever asked of somebody outside. */
export const LOCAL_ZONES: readonly Name[] = ["spartan", "localhost", "zk", DIRECTORY, DCOS, MESOS, L4LB, THIS_NODE];

function taskRules(kind: Kind): NamingRule[] {
  const zone = `${kind}.${DCOS}`;
  return [
    rule(kind, "task", `<task>.<framework>.${zone}`, ({ task }) => taskAddresses(task, kind, zone)),
    rule(`${kind}-service`, "task", `[_<port>.]_<task>._<protocol>.<framework>.${zone}`, ({ task }) =>
      taskServices(task, kind, zone),
    ),
  ];
}

/** Letters that no label has are dropped, and dots become dashes, as in the names of tasks. */
function nodeAddresses({ name, addresses: list }: NamedNode): DnsRecord[] {
  const label = dcosLabel(name);
  return label === "" ? [] : addresses(`${label}.node.${DCOS}`, list);
}

/** Only tasks that run have names. The second name is that of the instance, which service records point to. */
function taskAddresses(task: Task, kind: Kind, zone: Name): DnsRecord[] {
  if (task.state !== "running") return [];
  const reached = KINDS[kind](task).addresses.map(addressData);
  return [dcosLabel(discoveryName(task)), instanceLabel(task)].flatMap((label) => {
    const name = `${label}.${dcosLabel(task.framework.name)}.${zone}`;
    return reached.map((data) => ({ name, ttl: TTL, data }));
  });
}

function taskServices(task: Task, kind: Kind, zone: Name): DnsRecord[] {
  const { addresses: reached, portOf } = KINDS[kind](task);
  if (task.state !== "running" || reached.length === 0) return [];
  const framework = dcosLabel(task.framework.name);
  const target = `${instanceLabel(task)}.${framework}.${zone}`;
  return task.ports.flatMap((port) => {
    const number = portOf(port);
    if (number === undefined) return [];
    const service = `_${serviceLabel(discoveryName(task))}._${port.protocol}.${framework}.${zone}`;
    const data: RecordData = { type: "SRV", priority: 1, weight: 1, port: number, target };
    const names = port.name === undefined ? [service] : [service, `_${serviceLabel(port.name)}.${service}`];
    return names.map((name) => ({ name, ttl: TTL, data }));
  });
}

function atAgent({ agent, mode }: Task): Reach {
  return {
    addresses: oneOfEachFamily(agent.addresses),
    portOf: ({ host, container }) => host ?? (mode === "host" ? container : undefined),
  };
}

function atContainer(task: Task): Reach {
  return { addresses: task.addresses.map(({ address }) => address), portOf: ({ container }) => container };
}

/** The same parts as in Mesos-DNS: task, hash of the task's id, agent; the task's part gives way where all is too
 *  long. */
function instanceLabel(task: Task): string {
  const agent = dcosLabel(agentSuffix(task.agent.id)).slice(0, 16);
  const end = `-${taskHash(task.id)}${agent === "" ? "" : `-${agent}`}`;
  return `${dcosLabel(discoveryName(task)).slice(0, LABEL_BYTES - end.length)}${end}`.replace(/^-+|-+$/g, "");
}

/** Room for the underscore. */
function serviceLabel(text: string): string {
  return dcosLabel(text).slice(0, LABEL_BYTES - 1);
}

/** Addresses behind a mapping aren't unique in the cluster, and those in host mode are the node's. */
function containerReverse(task: Task): DnsRecord[] {
  if (task.state !== "running" || task.mode !== "container") return [];
  const name = `${dcosLabel(discoveryName(task))}.${dcosLabel(task.framework.name)}.containerip.${DCOS}`;
  return task.addresses.map(({ address }) => pointer(address, name));
}

function vipName({ label, framework }: NamedVip): Name {
  return [dcosFragment(label), dcosFragment(framework), L4LB].filter((part) => part !== "").join(".");
}

/** Five names however many masters there are. */
function zooKeepers(masters: readonly string[]): DnsRecord[] {
  const first = masters.slice(0, 5);
  return [1, 2, 3, 4, 5].flatMap((number) => {
    const address = first[(number - 1) % Math.max(1, first.length)];
    return address === undefined ? [] : addresses(`zk-${number}.zk`, [address]);
  });
}

function mesosCopy({ name, data }: DnsRecord, domain: Name): DnsRecord[] {
  if (!isUnder(name, domain) || name === domain) return [];
  if (data.type !== "SRV") return [{ name: renamed(name, domain, MESOS), ttl: TTL, data }];
  const target = isUnder(data.target, domain) ? renamed(data.target, domain, MESOS) : data.target;
  const copy: RecordData = { type: "SRV", priority: 1, weight: 1, port: data.port, target };
  return [{ name: renamed(name, domain, MESOS), ttl: TTL, data: copy }];
}

function addresses(name: Name, list: readonly string[]): DnsRecord[] {
  return list.map((address) => ({ name, ttl: TTL, data: addressData(address) }));
}

function pointer(address: string, target: Name): DnsRecord {
  return { name: reverseName(address), ttl: TTL, data: { type: "PTR", target } };
}

function oneOfEachFamily(list: readonly string[]): string[] {
  const v4 = list.find((address) => !address.includes(":"));
  const v6 = list.find((address) => address.includes(":"));
  return [v4, v6].flatMap((address) => address ?? []);
}

/** The name that a task is found by. An empty discovery name counts as none. */
export function discoveryName(task: Task): string {
  return task.discovery?.name || task.name;
}
