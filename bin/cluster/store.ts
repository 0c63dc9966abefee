import type { Snapshot } from "../../facts/view.ts";
import type { Clock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import { fileStore } from "../../overlay/leader/file-store.ts";
import type { LeaderStore } from "../../overlay/leader/store.ts";
import { zooKeeperStore } from "../../overlay/leader/zookeeper-store.ts";
import { parseZooKeeperUrl } from "../../overlay/leader/zookeeper-url.ts";

/** Silence after which ZooKeeper lets another master lead. */
const SESSION_MS = 6000;

export interface StoreOptions {
  /** `file`, or a ZooKeeper URL. */
  readonly store: string;
  /** The file. */
  readonly path: string;
  readonly self: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly view: () => Snapshot;
}

/** The store that the setting `overlay_store` names. Throws a NetError `invalid` for a setting that names none. */
export function openStore({ store, path, self, files, clock, view }: StoreOptions): LeaderStore {
  if (store === "file") return guarded(fileStore(files, path), () => fileProblem(self, view()), view);
  if (!store.startsWith("zk://")) {
    const remedy = "give file, or for example zk://10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/dcos-net";
    throw new NetError("invalid", { tried: "use overlay_store", said: "it is neither file nor a zk:// URL", remedy });
  }
  const session = { url: parseZooKeeperUrl(store), clock, sessionMs: SESSION_MS };
  return guarded(zooKeeperStore({ ...session, name: self }), () => undefined, view);
}

/** The store with the checks that need the cluster's facts: before a term, `problem`; and that a store in which nothing
 *  is stored isn't used where assignments are in force. It would give away again what nodes use. */
function guarded(store: LeaderStore, problem: () => NetError | undefined, view: () => Snapshot): LeaderStore {
  return {
    async lead(signal, onWaiting) {
      const refusal = problem();
      if (refusal !== undefined) throw refusal;
      const term = await store.lead(signal, onWaiting);
      const inForce = view().assignments.size;
      if (term.stored.network !== undefined || inForce === 0) return term;
      await term.resign();
      throw new NetError("conflict", {
        tried: "lead the overlay",
        said: `the store is empty, but ${inForce} nodes have assignments from an earlier one`,
        remedy: "restore the store from a backup, or set overlay_store to the one that was used",
      });
    },
  };
}

/** Two masters with a file each would hand out the same addresses. */
function fileProblem(self: string, { nodes }: Snapshot): NetError | undefined {
  const others = [...nodes].filter(([id, { fact }]) => id !== self && fact.body.role === "master").map(([id]) => id);
  if (others.length === 0) return undefined;
  return new NetError("conflict", {
    tried: "lead the overlay with allocations in a file",
    said: `there are other masters: ${others.slice(0, 10).join(", ")}`,
    remedy:
      "set overlay_store on all masters to one ZooKeeper (zk://...), or make one node the only master; " +
      "forget masters that are gone for good",
  });
}
