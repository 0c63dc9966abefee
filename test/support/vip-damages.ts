import { expect } from "chai";
import type { Kernel, Route } from "../../kernel/kernel.ts";
import { VipKeeper } from "../../l4lb/apply.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { newVipMetrics } from "../../l4lb/metric.ts";
import { type Service, serviceName } from "../../l4lb/service.ts";
import { formatPrefix } from "../../lib/address.ts";
import type { VipDamage } from "./vip-harness.ts";
import { service, sorted } from "./vip-services.ts";

/** Something of everything: both families and protocols, weights, every scheduler, affinity. */
const SERVICES: readonly Service[] = [
  service("tcp 11.0.0.1:80", ["10.88.0.11", ["10.88.0.12", 3]]),
  service("udp 11.0.0.1:53", ["10.88.0.11"], { scheduler: "rr" }),
  service("tcp 11.0.0.2:443", ["10.88.0.12", "10.88.0.13"], { scheduler: "mh" }),
  service("tcp [fd11::1]:80", ["fd88::11", "fd88::12"], { affinity: 300 }),
  service("udp [fd11::1]:53", ["fd88::13"], { scheduler: "sh" }),
];

/** Lets a keeper make some services; then, for each object that `list` finds in the kernel, deletes it and expects that
 *  the next pass puts it back and names something, and that all is as before. Returns what was deleted. */
export function keeps(open: () => Dataplane, node: Kernel, list: () => readonly VipDamage[]): string[] {
  const dataplane = open();
  const keeper = new VipKeeper({ dataplane, metrics: newVipMetrics(), monotonic: () => 0 });
  const wanted = new Map(SERVICES.map((each) => [serviceName(each), each]));
  const done: string[] = [];
  try {
    keeper.reconcile(wanted, true);
    keeper.reconcile(wanted, true);
    const whole = look(open, node, list);
    const all = new Set(list().map(({ what }) => what));
    for (const what of all) {
      // Its handle may be another one by now.
      const damage = list().find((each) => each.what === what);
      expect(damage, what).to.not.equal(undefined);
      damage?.do(node);
      const { repaired, refused } = keeper.reconcile(wanted, true);
      expect(refused, what).to.deep.equal([]);
      expect(repaired, `named, after ${what} was deleted`).to.not.deep.equal([]);
      // What is found to be there in part is complete with the next pass at the latest.
      keeper.reconcile(wanted, true);
      expect(look(open, node, list), what).to.deep.equal(whole);
      done.push(what);
    }
  } finally {
    dataplane.remove();
    dataplane.close();
  }
  return done;
}

/** All that stands, and what another data plane of this kind reads. */
function look(open: () => Dataplane, node: Kernel, list: () => readonly VipDamage[]) {
  const other = open();
  const { made } = other.prepare();
  const services = sorted(other.read());
  other.close();
  const objects = list().map(({ what }) => what);
  return { made, services, objects: objects.sort(), device: node.link("minuteman")?.up };
}

/** The device, and these routes to it. */
export function deviceAndRoutes(routes: readonly Route[]): VipDamage[] {
  const dev = "minuteman";
  return [
    { what: "device", do: (kernel) => kernel.apply([{ do: "link.delete", dev }]) },
    { what: "state of the device", do: (kernel) => kernel.apply([{ do: "link.set", dev, set: { up: false } }]) },
    ...routes.map((route): VipDamage => {
      return {
        what: `route ${formatPrefix(route.dst)}`,
        do: (kernel) => kernel.apply([{ do: "route.delete", route }]),
      };
    }),
  ];
}
