import type { NodeFact } from "../facts/fact.ts";
import type { Snapshot, ViewDelta } from "../facts/view.ts";
import { type Prefix, parsePrefix } from "../lib/address.ts";
import type { Name } from "./name.ts";
import {
  type Cluster,
  type CustomAlias,
  LOCAL_ZONES,
  type NamedNode,
  type NamedVip,
  recordsOf,
  type Subject,
} from "./naming.ts";
import type { DnsRecord } from "./record.ts";
import { ReverseNames } from "./reverse-names.ts";
import type { RecordSource } from "./trace.ts";
import { dcosZone, type Zone } from "./zone.ts";
import { Zones } from "./zones.ts";

/** Where containers and virtual IPs of DC/OS have their addresses. */
export const DCOS_RANGES: readonly Prefix[] = ["9.0.0.0/8", "11.0.0.0/8", "fd01:b::/64", "fd01:c::/64"].map(
  parsePrefix,
);

export interface NamesOptions {
  /** Id of this node among the node facts. */
  readonly node: string;
  /** Addresses under which this node is reached from outside, canonical text. */
  readonly publicAddresses: readonly string[];
  readonly custom: readonly CustomAlias[];
  /** Ranges whose addresses have their names here, until {@link Names.ranges} says otherwise. */
  readonly ranges: readonly Prefix[];
  /** Zones that the operator has others answer for; see {@link ReverseClaims}. */
  readonly forwarded: readonly Name[];
  /** Zones beside those of DC/OS. */
  readonly zones: readonly Zone[];
}

/** What the origins of tasks' records begin with; the task's key follows. */
const TASK_ORIGIN = "task/";

/** Keeps the local zones as the facts say: one changed task changes its own records and nothing else. */
export class Names {
  readonly zones: Zones;
  readonly #options: NamesOptions;
  readonly #vips = new Map<string, NamedVip>();
  /** What was last said of each node that has records. */
  readonly #nodes = new Map<string, NamedNode>();
  readonly #reverse: ReverseNames;
  #ranges: readonly Prefix[];
  #mesos: readonly Subject[] = [];

  constructor(options: NamesOptions) {
    this.#options = options;
    this.#ranges = options.ranges;
    this.zones = new Zones([...LOCAL_ZONES.map(dcosZone), ...options.zones]);
    this.#reverse = new ReverseNames(this.zones, options.forwarded);
    this.#reverse.claim(options.ranges, [], () => {});
    this.zones.put("fixed", recordsOf({ kind: "fixed" }));
    for (const alias of options.custom) this.zones.put(`custom/${alias.name}`, recordsOf({ kind: "custom", alias }));
  }

  /** Takes a whole snapshot, in the place of all that was said of tasks and nodes before. The deltas that follow it go
   *  to `change`. */
  begin(snapshot: Snapshot): void {
    const gone = [...this.zones.origins()].filter((origin) => {
      return origin.startsWith(TASK_ORIGIN) && !snapshot.tasks.has(origin.slice(TASK_ORIGIN.length));
    });
    for (const origin of gone) this.zones.put(origin, []);
    for (const [key, { body }] of snapshot.tasks) this.#task(key, recordsOf({ kind: "task", task: body }));
    this.#cluster(snapshot);
  }

  /** The ranges whose addresses have their names here from now on. */
  ranges(ranges: readonly Prefix[], snapshot: Snapshot): void {
    this.#ranges = ranges;
    this.#claim(snapshot);
  }

  /** Takes one delta of the view, with the snapshot after it. */
  change({ tasks, nodes }: ViewDelta, snapshot: Snapshot): void {
    for (const { key, value } of tasks.added) this.#task(key, recordsOf({ kind: "task", task: value.body }));
    for (const { key, after } of tasks.changed) this.#task(key, recordsOf({ kind: "task", task: after.body }));
    for (const { key } of tasks.removed) this.#task(key, []);
    if (nodes.added.length + nodes.changed.length + nodes.removed.length > 0) this.#cluster(snapshot);
  }

  /** The virtual IPs that there are now; `key` tells them apart. */
  vips(changed: readonly { readonly key: string; readonly vip: NamedVip | undefined }[]): void {
    for (const { key, vip } of changed) {
      if (vip === undefined) this.#vips.delete(key);
      else this.#vips.set(key, vip);
      this.#vip(key, vip);
    }
  }

  /** All records of Mesos-DNS, to be had under `mesos.thisdcos.directory` too. */
  mesos(records: readonly DnsRecord[], domain: Name): void {
    this.#mesos = records.map((record) => ({ kind: "mesos", record, domain }));
    this.zones.put("mesos", this.#mesos.flatMap(recordsOf));
  }

  /** Everything that the records are made of, for traces; `snapshot` is the one that was taken last. */
  *sources(snapshot: Snapshot): Generator<RecordSource> {
    yield { subject: { kind: "fixed" }, fact: undefined };
    yield* this.#clusterSources(snapshot);
    for (const fact of snapshot.tasks.values()) yield { subject: { kind: "task", task: fact.body }, fact };
    for (const vip of this.#vips.values()) yield { subject: { kind: "vip", vip }, fact: undefined };
    for (const subject of this.#mesos) yield { subject, fact: undefined };
    for (const alias of this.#options.custom) yield { subject: { kind: "custom", alias }, fact: undefined };
  }

  /** Each node with the part of the cluster's names that its own word makes. */
  *#clusterSources(snapshot: Snapshot): Generator<RecordSource> {
    const whole = clusterOf(snapshot, this.#options);
    for (const { fact } of snapshot.nodes.values()) {
      const own = (list: readonly string[]) => list.filter((address) => fact.body.addresses.includes(address));
      const [node, publicNode] = fact.key === this.#options.node ? [whole.node, whole.publicNode] : [[], []];
      const cluster = { masters: own(whole.masters), leader: own(whole.leader), node, publicNode };
      yield { subject: { kind: "cluster", cluster }, fact };
      yield { subject: { kind: "node", node: fact.body }, fact };
    }
  }

  #task(key: string, records: readonly DnsRecord[]): void {
    this.zones.put(`${TASK_ORIGIN}${key}`, this.#reverse.inRanges(records));
  }

  #vip(key: string, vip: NamedVip | undefined): void {
    this.zones.put(`vip/${key}`, vip === undefined ? [] : this.#reverse.inRanges(recordsOf({ kind: "vip", vip })));
  }

  #node(key: string, node: NamedNode): void {
    this.zones.put(`node/${key}`, this.#reverse.claimed(recordsOf({ kind: "node", node })));
  }

  #cluster(snapshot: Snapshot): void {
    this.zones.put("cluster", recordsOf({ kind: "cluster", cluster: clusterOf(snapshot, this.#options) }));
    this.#forgetNodes(snapshot);
    this.#claim(snapshot);
    for (const [key, { fact }] of snapshot.nodes) {
      const { name, addresses } = fact.body;
      const before = this.#nodes.get(key);
      if (before?.name === name && before.addresses.join() === addresses.join()) continue;
      this.#nodes.set(key, { name, addresses });
      this.#node(key, { name, addresses });
    }
  }

  #forgetNodes({ nodes }: Snapshot): void {
    for (const key of this.#nodes.keys()) {
      if (nodes.has(key)) continue;
      this.#nodes.delete(key);
      this.zones.put(`node/${key}`, []);
    }
  }

  /** Sees to it that the zones of reverse names are those of the ranges and the nodes. */
  #claim(snapshot: Snapshot): void {
    const addresses = [...snapshot.nodes.values()].flatMap(({ fact }) => fact.body.addresses);
    this.#reverse.claim(this.#ranges, addresses, ({ concerns, ranges }) => {
      for (const [key, node] of this.#nodes) if (node.addresses.some(concerns)) this.#node(key, node);
      if (!ranges) return;
      for (const [key, vip] of this.#vips) if (vip.addresses.some(concerns)) this.#vip(key, vip);
      for (const [key, { body }] of snapshot.tasks) {
        if (body.addresses.some(({ address }) => concerns(address)))
          this.#task(key, recordsOf({ kind: "task", task: body }));
      }
    });
  }
}

/** The cluster as the node facts tell it. The leader is the node whose word of the leading Mesos master is newest. */
export function clusterOf(
  snapshot: Snapshot,
  { node, publicAddresses }: Pick<NamesOptions, "node" | "publicAddresses">,
): Cluster {
  const facts = [...snapshot.nodes.values()].map(({ fact }) => fact);
  const masters = facts.filter(({ body }) => body.role === "master").sort((a, b) => (a.key < b.key ? -1 : 1));
  const since = ({ body }: NodeFact): number => body.speaks.masterSince ?? 0;
  const leader = masters.reduce<NodeFact | undefined>((a, b) => (since(b) > (a ? since(a) : 0) ? b : a), undefined);
  return {
    masters: masters.flatMap(({ body }) => body.addresses[0] ?? []),
    leader: leader?.body.addresses.slice(0, 1) ?? [],
    node: facts.find(({ key }) => key === node)?.body.addresses ?? [],
    publicNode: publicAddresses,
  };
}
