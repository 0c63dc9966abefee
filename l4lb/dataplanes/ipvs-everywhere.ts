import type { Change, Dataplane, Foundation, ServiceCounters } from "../dataplane.ts";
import { backendName, type Service, serviceName } from "../service.ts";
import type { IpvsNamespaces } from "./ipvs-namespaces.ts";

/** Virtual IPs of the node and of the containers that carry them themselves, as one data plane. What the node's own
 *  namespace has counts as what there is; the others are made alike. */
export class IpvsEverywhere implements Dataplane {
  readonly kind = "ipvs";

  constructor(
    private readonly node: Dataplane,
    private readonly namespaces: IpvsNamespaces,
  ) {}

  prepare(): Foundation {
    const { made, ...rest } = this.node.prepare();
    return { made: [...made, ...this.namespaces.keep(() => this.node.read())], ...rest };
  }

  read(): Service[] {
    return this.node.read();
  }

  apply(changes: readonly Change[]): (Error | undefined)[] {
    const outcome = this.node.apply(changes);
    this.namespaces.apply(changes);
    return outcome;
  }

  counters(): ServiceCounters[] {
    const all = [this.node, ...this.namespaces.planes()].flatMap((plane) => plane.counters());
    const sums = new Map<string, ServiceCounters>();
    for (const each of all) {
      const before = sums.get(serviceName(each.key));
      sums.set(serviceName(each.key), before === undefined ? each : sumOf(before, each));
    }
    return [...sums.values()];
  }

  remove(): void {
    this.namespaces.close(true);
    this.node.remove();
  }

  close(): void {
    this.namespaces.close();
    this.node.close();
  }
}

function sumOf(a: ServiceCounters, b: ServiceCounters): ServiceCounters {
  const others = new Map(b.backends.map((backend) => [backendName(backend), backend]));
  const backends = a.backends.map((backend) => {
    const other = others.get(backendName(backend));
    if (other === undefined) return backend;
    return {
      ...backend,
      active: (backend.active ?? 0) + (other.active ?? 0),
      total: (backend.total ?? 0) + (other.total ?? 0),
      bytesIn: (backend.bytesIn ?? 0) + (other.bytesIn ?? 0),
      bytesOut: (backend.bytesOut ?? 0) + (other.bytesOut ?? 0),
    };
  });
  return { key: a.key, backends };
}
