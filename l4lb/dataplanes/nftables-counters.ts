import type { Kernel } from "../../kernel/kernel.ts";
import type { BackendCounters, ServiceCounters } from "../dataplane.ts";
import { backendName, type Service } from "../service.ts";
import { backendOf, ownerKey, ownerOf } from "./nftables-elements.ts";
import { L4LB_TABLE } from "./nftables-table.ts";
import { keyOfFlow, keyOfService } from "./vip-flows.ts";

/** What these services' backends have carried. Connections are counted by the elements of the backends, so that a
 *  change of a weight begins anew; those of now by connection tracking. */
export function readCounters(kernel: Kernel, services: readonly Service[]): ServiceCounters[] {
  const totals = new Map<string, number>();
  const active = new Map<string, number>();
  for (const family of [4, 6] as const) {
    for (const element of kernel.nftables.rawElements("inet", L4LB_TABLE, `backends${family}`) ?? []) {
      const name = `${ownerOf(family, element.key)} ${backendName(backendOf(family, element))}`;
      totals.set(name, element.packets ?? 0);
    }
    for (const flow of kernel.conntrack.list(family)) {
      const name = `${keyOfFlow(flow)} ${backendName({ ip: flow.replySource, port: flow.replySourcePort })}`;
      active.set(name, (active.get(name) ?? 0) + 1);
    }
  }
  return services.map((service) => {
    const owner = ownerKey(service);
    const flows = keyOfService(service);
    const backends = service.backends.map(({ ip, port }): BackendCounters => {
      const name = backendName({ ip, port });
      return { ip, port, active: active.get(`${flows} ${name}`) ?? 0, total: totals.get(`${owner} ${name}`) ?? 0 };
    });
    const { protocol, ip, port } = service;
    return { key: { protocol, ip, port }, backends };
  });
}
