import type { NodeFact } from "../facts/fact.ts";
import type { Snapshot, ViewDelta } from "../facts/view.ts";
import { type Prefix, parsePrefix } from "../lib/address.ts";
import type { Name } from "./name.ts";
import { type Cluster, type CustomAlias, LOCAL_ZONES, type NamedVip, recordsOf } from "./naming.ts";
import type { DnsRecord } from "./record.ts";
import { reverseZones } from "./reverse.ts";
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
  /** Ranges whose addresses have their names here. */
  readonly ranges: readonly Prefix[];
  /** Zones beside those of DC/OS. */
  readonly zones: readonly Zone[];
}

/** Keeps the local zones as the facts say: one changed task changes its own records and nothing else. */
export class Names {
  readonly zones: Zones;
  readonly #options: NamesOptions;

  constructor(options: NamesOptions) {
    this.#options = options;
    const own = [...LOCAL_ZONES, ...options.ranges.flatMap(reverseZones)].map(dcosZone);
    this.zones = new Zones([...own, ...options.zones]);
    this.zones.put("fixed", recordsOf({ kind: "fixed" }));
    for (const alias of options.custom) this.zones.put(`custom/${alias.name}`, recordsOf({ kind: "custom", alias }));
  }

  /** Takes a whole snapshot, once, before the deltas that follow it. */
  begin(snapshot: Snapshot): void {
    for (const [key, { body }] of snapshot.tasks)
      this.zones.put(`task/${key}`, recordsOf({ kind: "task", task: body }));
    this.#cluster(snapshot);
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
      this.zones.put(`vip/${key}`, vip === undefined ? [] : recordsOf({ kind: "vip", vip }));
    }
  }

  /** All records of Mesos-DNS, to be had under `mesos.thisdcos.directory` too. */
  mesos(records: readonly DnsRecord[], domain: Name): void {
    this.zones.put(
      "mesos",
      records.flatMap((record) => recordsOf({ kind: "mesos", record, domain })),
    );
  }

  #task(key: string, records: readonly DnsRecord[]): void {
    this.zones.put(`task/${key}`, records);
  }

  #cluster(snapshot: Snapshot): void {
    this.zones.put("cluster", recordsOf({ kind: "cluster", cluster: clusterOf(snapshot, this.#options) }));
  }
}

/** The cluster as the node facts tell it. The leader is the node whose word of the leading Mesos master is newest. */
export function clusterOf(snapshot: Snapshot, { node, publicAddresses }: NamesOptions): Cluster {
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
