import { type Ip, parseIp } from "../../../../lib/address.ts";
import { NetError } from "../../../../lib/error.ts";
import type { Log } from "../../../../lib/log.ts";
import { DEFAULT_NETWORK, type OverlayNetwork, parseOverlayNetwork } from "../../../../overlay/leader/network.ts";
import type { Change, NodeRecord } from "../../../../overlay/leader/registry.ts";
import type { LeaderStore, Term } from "../../../../overlay/leader/store.ts";
import { type StoredState, withChanges } from "../../../../overlay/leader/stored.ts";
import { defaultWish, type NodeFact } from "../../../../overlay/leader/types.ts";

export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** The default network of DC/OS with some keys changed. */
export function network(changes: object = {}): OverlayNetwork {
  return parseOverlayNetwork({ ...DEFAULT_NETWORK, ...changes });
}

/** A node that asks for everything. */
export function node(id: string, address: string, changes: Partial<NodeFact> = {}): NodeFact {
  return { id, address: parseIp(address), address6: undefined, wish: defaultWish("agent"), ...changes };
}

/** The NetError that `action` throws. */
export function refusalOf(action: () => unknown): NetError {
  try {
    action();
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** The NetError with which `promise` rejects. */
export async function rejectionOf(promise: Promise<unknown>): Promise<NetError> {
  const error = await promise.then(
    () => new Error("it was accepted"),
    (reason: unknown) => reason,
  );
  if (error instanceof NetError) return error;
  throw error;
}

/** What a store does at one of its writes. */
export type Fate = "ok" | "fail-before" | "fail-after" | "fail-half" | "hang-before" | "hang-after";

/** A store in memory with the promises of the real ones, which can be told to fail at each write. Terms of several
 *  candidates share it; a later term shuts the earlier ones out. */
export class MemoryStore implements LeaderStore {
  state: StoredState = { network: undefined, records: [] };
  epoch = 0;
  /** Every state that was ever stored. */
  readonly history: StoredState[] = [];
  /** Fate of each of the coming writes, the beginning of a term not counted. */
  fates: Fate[] = [];

  async lead(): Promise<MemoryTerm> {
    this.epoch += 1;
    return new MemoryTerm(this, this.epoch, this.state);
  }

  write(changes: readonly Change[]): void {
    // A store may keep any beginning of a list, so each is a state of the history.
    for (const change of changes) {
      this.state = withChanges(this.state, [change]);
      this.history.push(this.state);
    }
  }
}

export class MemoryTerm implements Term {
  readonly lost: Promise<NetError>;
  readonly lose: (reason: NetError) => void;
  resigned = false;

  constructor(
    readonly store: MemoryStore,
    readonly epoch: number,
    readonly stored: StoredState,
  ) {
    const { promise, resolve } = Promise.withResolvers<NetError>();
    this.lost = promise;
    this.lose = resolve;
  }

  async commit(changes: readonly Change[]): Promise<void> {
    await Promise.resolve();
    if (this.epoch !== this.store.epoch) throw failure("conflict", "another leader has begun");
    const fate = this.store.fates.shift() ?? "ok";
    if (fate === "fail-half") this.store.write(changes.slice(0, Math.ceil(changes.length / 2)));
    else if (!fate.endsWith("before")) this.store.write(changes);
    if (fate.startsWith("hang")) await new Promise<void>(() => {});
    if (fate.startsWith("fail")) throw failure("unavailable", "the store broke");
  }

  async resign(): Promise<void> {
    this.resigned = true;
    this.lose(failure("conflict", "given up"));
  }
}

export function failure(code: "conflict" | "unavailable", said: string): NetError {
  return new NetError(code, { tried: "store", said });
}

/** Everything of a record that no other node may have. */
export function piecesOf({ vtep, subnets }: Pick<NodeRecord, "vtep" | "subnets">): string[] {
  const shown = (ip: Ip) => `${ip.family}:${ip.value.toString(16)}`;
  return [
    vtep.mac,
    shown(vtep.ip),
    ...(vtep.ip6 === undefined ? [] : [shown(vtep.ip6)]),
    ...[...subnets.values()].flatMap(({ v4, v6 }) =>
      [v4, v6].flatMap((subnet) => (subnet === undefined ? [] : [`${shown(subnet.ip)}/${subnet.length}`])),
    ),
  ];
}
