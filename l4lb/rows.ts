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
  readonly #rows = new Map<string, Map<string, VipRow>>();
  readonly #contested = new Set<string>();
  /** Services of which a row says that something is contradictory. */
  readonly #troubled = new Set<string>();
  #changes = new Map<string, ServiceChange>();

  /** The row that is the service of this name. */
  get(service: string): VipRow | undefined {
    return first(this.#rows.get(service))?.[1];
  }

  *[Symbol.iterator](): Generator<VipRow> {
    for (const rows of this.#rows.values()) {
      const winner = first(rows);
      if (winner !== undefined) yield winner[1];
    }
  }

  get size(): number {
    return this.#rows.size;
  }

  /** `vip`: the virtual IP, by its text. */
  put(vip: string, row: VipRow): void {
    this.#change(serviceName(row.service), (rows) => rows.set(vip, row));
  }

  drop(vip: string, row: VipRow): void {
    this.#change(serviceName(row.service), (rows) => rows.delete(vip));
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
      const rows = this.#rows.get(service);
      const winner = first(rows)?.[0];
      for (const vip of rows?.keys() ?? []) {
        if (vip === winner) continue;
        yield `${vip} is not served: ${winner} has the same address, protocol and port, ${service}; give it another`;
      }
    }
  }

  #change(service: string, change: (rows: Map<string, VipRow>) => void): void {
    const rows = this.#rows.get(service) ?? new Map<string, VipRow>();
    if (!this.#changes.has(service)) this.#changes.set(service, { before: first(rows)?.[1].service, after: undefined });
    change(rows);
    if (rows.size === 0) this.#rows.delete(service);
    else this.#rows.set(service, rows);
    if (rows.size > 1) this.#contested.add(service);
    else this.#contested.delete(service);
    if ([...rows.values()].some(({ problems }) => problems.length > 0)) this.#troubled.add(service);
    else this.#troubled.delete(service);
  }
}

function first(rows: ReadonlyMap<string, VipRow> | undefined): readonly [string, VipRow] | undefined {
  let best: readonly [string, VipRow] | undefined;
  for (const entry of rows ?? []) if (best === undefined || goesBefore(entry, best)) best = entry;
  return best;
}

function goesBefore([text, { vip }]: readonly [string, VipRow], [other, best]: readonly [string, VipRow]): boolean {
  if (vip.place.kind !== best.vip.place.kind) return vip.place.kind === "name";
  return text < other;
}
