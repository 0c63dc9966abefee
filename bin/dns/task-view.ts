import type { NodeFact } from "../../facts/fact.ts";
import { changesFromGossip } from "../../facts/gossiped.ts";
import { publishingSink } from "../../facts/publish-source.ts";
import { Publisher } from "../../facts/publisher.ts";
import { fileSource } from "../../facts/sources/file.ts";
import { watchDirectory } from "../../facts/sources/file-watch.ts";
import type { SourceSink } from "../../facts/sources/source.ts";
import { FactView } from "../../facts/view.ts";
import { formatIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import type { Cluster, ClusterNode } from "../../overlay/cluster.ts";

export interface TaskViewOptions {
  /** Directory of task definitions; undefined: no tasks. */
  readonly directory: string | undefined;
  readonly node: string;
  /** Addresses of this node, canonical text, best first. */
  readonly addresses: readonly string[];
  readonly files: Files;
  readonly log: Log;
}

const NO_WISH = { allocateSubnet: false, mesosBridge: false, dockerBridge: false };

/** What there is to say of nodes and tasks without gossip. */
export interface TaskView {
  readonly view: FactView;
  /** Takes the other nodes from a static cluster, in the place of those of the cluster before. */
  show(cluster: Cluster): void;
  /** Resolves when the directory has been read, or can't be. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** A view with this node's tasks as a directory of files defines them: names without gossip. */
export function taskView({ directory, node, addresses, files, log }: TaskViewOptions): TaskView {
  const view = new FactView();
  const onRefused = (error: Error): void => log.warn("task refused", { error: error.message });
  const publisher = new Publisher({
    owner: node,
    now: () => Date.now(),
    write: (values) => view.apply(changesFromGossip(node, values, onRefused, (bytes) => publisher.writes(bytes))),
  });
  const speaks = { agents: [node] };
  const body = { name: node, role: "agent" as const, addresses, wish: NO_WISH, versions: {}, speaks };
  publisher.put({ kind: "node", key: node, body });
  publisher.flush();
  const agent = { id: node, addresses };
  const times = { clock: systemClock, random: Math.random };
  const source = directory && fileSource({ directory, agent, files, watch: watchDirectory, ...times });
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  if (source) source.start(resolving(publishingSink(publisher, onRefused), resolve));
  else resolve();
  const others = new OtherNodes(view, node);
  return {
    view,
    ready,
    show: (cluster) => others.show(cluster),
    stop: async () => void (source && (await source.stop())),
  };
}

/** The sink, with a call of `told` when it is given something for the first time. */
function resolving(sink: SourceSink, told: () => void): SourceSink {
  return {
    replace(tasks) {
      sink.replace(tasks);
      told();
    },
    change: (delta) => sink.change(delta),
    problem(error) {
      sink.problem(error);
      told();
    },
  };
}

/** The nodes of a static cluster as facts that they would have told themselves. */
class OtherNodes {
  readonly #view: FactView;
  readonly #self: string;
  #names: ReadonlySet<string> = new Set();
  #version = 0;

  constructor(view: FactView, self: string) {
    this.#view = view;
    this.#self = self;
  }

  show({ nodes }: Cluster): void {
    const others = nodes.filter(({ name }) => name !== this.#self);
    const before = this.#names;
    this.#names = new Set(others.map(({ name }) => name));
    const version = ++this.#version;
    this.#view.apply([
      ...[...before.difference(this.#names)].map((owner) => ({ type: "owner", owner, liveness: "forgotten" }) as const),
      ...others.map((node) => ({ type: "put", fact: nodeFact(node, version) }) as const),
    ]);
  }
}

function nodeFact({ name, address, address6 }: ClusterNode, version: number): NodeFact {
  const addresses = [address, address6].flatMap((ip) => (ip === undefined ? [] : formatIp(ip)));
  const body = { name, role: "agent" as const, addresses, wish: NO_WISH, versions: {}, speaks: { agents: [] } };
  return { kind: "node", owner: name, key: name, version, observedAt: Date.now(), body };
}
