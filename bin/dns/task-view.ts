import { changesFromGossip } from "../../facts/gossiped.ts";
import { publishingSink } from "../../facts/publish-source.ts";
import { Publisher } from "../../facts/publisher.ts";
import { fileSource } from "../../facts/sources/file.ts";
import { watchDirectory } from "../../facts/sources/file-watch.ts";
import { FactView } from "../../facts/view.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";

export interface TaskViewOptions {
  /** Directory of task definitions. */
  readonly directory: string;
  readonly node: string;
  /** Addresses of this node, canonical text, best first. */
  readonly addresses: readonly string[];
  readonly files: Files;
  readonly log: Log;
}

/** A view of this node alone with the tasks that a directory of files defines: names without a cluster. */
export function taskView({ directory, node, addresses, files, log }: TaskViewOptions): {
  readonly view: FactView;
  stop(): Promise<void>;
} {
  const view = new FactView();
  const onRefused = (error: Error): void => log.warn("task refused", { error: error.message });
  const publisher = new Publisher({
    owner: node,
    now: () => Date.now(),
    write: (values) => view.apply(changesFromGossip(node, values, onRefused)),
  });
  const speaks = { agents: [node] };
  const wish = { allocateSubnet: false, mesosBridge: false, dockerBridge: false };
  const body = { name: node, role: "agent" as const, addresses, wish, versions: {}, speaks };
  publisher.put({ kind: "node", key: node, body });
  publisher.flush();
  const agent = { id: node, addresses };
  const source = fileSource({
    directory,
    agent,
    files,
    watch: watchDirectory,
    clock: systemClock,
    random: Math.random,
  });
  source.start(publishingSink(publisher, onRefused));
  return { view, stop: () => source.stop() };
}
