import { vipText } from "./label.ts";
import { equalServices } from "./plan.ts";
import type { VipRow } from "./row.ts";
import { type Service, serviceName } from "./service.ts";

/** A service as it was and as it is. */
export interface ServiceChange {
  readonly before: Service | undefined;
  readonly after: Service | undefined;
}

/** The rows of all virtual IPs by the service that they want to be. Several may want the same address, protocol and
 *  port: one with a name goes before one without, whose address somebody chose without knowing of the name; otherwise
 *  the first by its text. */
export class Rows {
  /** By the service's name: the row that is the service, and those that would be. */
  readonly #rows = new Map<string, readonly VipRow[]>();
  readonly #contested = new Set<string>();
  /** Services of which a row says that something is contradictory. */
  readonly #troubled = new Set<string>();
  #changes = new Map<string, ServiceChange>();

  /** The row that is the service of this name. */
  get(service: string): VipRow | undefined {
    return this.#rows.get(service)?.[0];
  }

  *[Symbol.iterator](): Generator<VipRow> {
    for (const [winner] of this.#rows.values()) if (winner !== undefined) yield winner;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** A virtual IP has one row in each family: the one before has to be dropped first. */
  put(row: VipRow): void {
    this.#change(row, (rows) => (rows.length === 0 ? [row] : [...rows, row].sort(inOrder)));
  }

  drop(row: VipRow): void {
    this.#change(row, (rows) => rows.filter((each) => each !== row));
  }

  /** What became different since the last call, by the names of the services. */
  settle(): Map<string, ServiceChange> {
    const changes = this.#changes;
    this.#changes = new Map();
    for (const [name, { before }] of changes) {
      const after = this.get(name)?.service;
      const isSame = before !== undefined && after !== undefined && equalServices(before, after);
      if (before === after || isSame) changes.delete(name);
      else changes.set(name, { before, after });
    }
    return changes;
  }

  /** What is contradictory in services, in sentences. Costs as much as there is to tell. */
  *problems(): Generator<string> {
    for (const service of this.#troubled) {
      for (const problem of this.get(service)?.problems ?? []) yield `${service}: ${problem}`;
    }
  }

  /** Rows that are no services because others are, with those, in sentences. */
  *conflicts(): Generator<string> {
    for (const service of this.#contested) {
      const [winner = "", ...others] = (this.#rows.get(service) ?? []).map(({ vip }) => vipText(vip));
      for (const vip of others) {
        yield `${vip} is not served: ${winner} has the same address, protocol and port, ${service}; give it another`;
      }
    }
  }

  #change(row: VipRow, change: (rows: readonly VipRow[]) => readonly VipRow[]): void {
    const service = serviceName(row.service);
    const before = this.#rows.get(service) ?? [];
    if (!this.#changes.has(service)) this.#changes.set(service, { before: before[0]?.service, after: undefined });
    const rows = change(before);
    if (rows.length === 0) this.#rows.delete(service);
    else this.#rows.set(service, rows);
    if (rows.length > 1) this.#contested.add(service);
    else this.#contested.delete(service);
    if (rows.some(({ problems }) => problems.length > 0)) this.#troubled.add(service);
    else this.#troubled.delete(service);
  }
}

/** The order of rows that want the same service. */
function inOrder({ vip: a }: VipRow, { vip: b }: VipRow): number {
  if (a.place.kind !== b.place.kind) return a.place.kind === "name" ? -1 : 1;
  return vipText(a) < vipText(b) ? -1 : 1;
}
