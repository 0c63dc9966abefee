import { openLinux } from "../../kernel/linux.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import type { Service } from "../../l4lb/service.ts";
import { systemClock } from "../../lib/clock.ts";
import { openSocketPlace } from "../support/socket-place.ts";
import { serve, timeOf } from "./host.ts";
import { serviceNumber } from "./vip-nft-plane.ts";

// What the benchmark of large services measures, in a host of its own (see host.ts).

export type Plane = "nftables" | "socket";

export type Request =
  | { readonly do: "change"; readonly plane: Plane; readonly what: Change; readonly backends: number }
  | { readonly do: "close" };

/** A backend goes and comes back, or stops taking connections and begins again. */
export type Change = "backend" | "weight";

const CHANGES = 20;

const place = openSocketPlace();
const planes: Readonly<Record<Plane, Dataplane>> = {
  nftables: openNftablesDataplane(openLinux(), systemClock),
  socket: openSocketDataplane(place),
};
for (const plane of Object.values(planes)) plane.prepare();

function serviceOf(backends: number): Service {
  const ip = (index: number) => ({ family: 4, value: 0x0a00_0000n + BigInt(index) }) as const;
  const all = Array.from({ length: backends }, (_, index) => ({ ip: ip(index), port: 8080, weight: 1 }));
  return { ...serviceNumber(backends), backends: all };
}

function without(service: Service, what: Change): Service {
  const { backends } = service;
  const middle = backends.length >> 1;
  if (what === "backend") return { ...service, backends: backends.toSpliced(middle, 1) };
  return { ...service, backends: backends.map((each, index) => (index === middle ? { ...each, weight: 0 } : each)) };
}

/** Milliseconds that one change takes. */
function changed(plane: Dataplane, what: Change, count: number): number {
  const whole = serviceOf(count);
  const less = without(whole, what);
  const put = (service: Service, before: Service | undefined): void => {
    const [error] = plane.apply([{ do: "put", service, before }]);
    if (error !== undefined) throw error;
  };
  put(whole, undefined);
  const took = timeOf(() => {
    for (let time = 0; time < CHANGES / 2; time++) {
      put(less, whole);
      put(whole, less);
    }
  });
  return took / CHANGES;
}

await serve<Request, number>((request) => {
  if (request.do === "change") return changed(planes[request.plane], request.what, request.backends);
  for (const plane of Object.values(planes)) {
    plane.remove();
    plane.close();
  }
  place.close();
  return 0;
});
