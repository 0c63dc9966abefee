import type { Kernel } from "../../kernel/kernel.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { planServices } from "../../l4lb/plan.ts";
import type { Service } from "../../l4lb/service.ts";
import { systemClock } from "../../lib/clock.ts";

/** A service with one to three backends, as they are on three nodes. */
export function serviceNumber(number: number, weight = 1, backends = 3): Service {
  const ip = { family: 4, value: 0x0b00_0000n + BigInt(number) } as const;
  const all = [1n, 2n, 3n].map((node) => ({
    ip: { family: 4, value: 0x0900_0000n + (node << 16n) + BigInt(number) } as const,
    port: 8080,
    weight: node === 1n ? weight : 1,
  }));
  return { protocol: "tcp", ip, port: 80, scheduler: "wlc", affinity: 0, backends: all.slice(0, backends) };
}

/** The first `count` services, with three backends each. */
export function servicesOf(count: number): Service[] {
  return Array.from({ length: count }, (_, number) => serviceNumber(number));
}

/** A data plane of the namespace of `kernel`, with these services and no others in force. */
export function planeWith(kernel: Kernel, services: readonly Service[]): Dataplane {
  const plane = openNftablesDataplane(kernel, systemClock);
  plane.prepare();
  settle(plane, services);
  return plane;
}

export function settle(plane: Dataplane, services: readonly Service[]): void {
  for (const error of plane.apply(planServices(plane.read(), services))) if (error !== undefined) throw error;
}
