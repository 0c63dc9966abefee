import { join } from "node:path";
import { socketPlaceUnavailable } from "../support/socket-place.ts";
import { Host } from "./host.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";
import type { Change, Plane, Request } from "./vip-large-host.ts";

/** One change of a service with 6,000 backends, beside the same of one with 3. */
export const VIP_LARGE: Benchmark = {
  name: "vip-large",
  runs: 20,
  whyNot: socketPlaceUnavailable,
  run: measure,
};

const PLANES: readonly Plane[] = ["nftables", "socket"];
const MANY = 6000;
const FEW = 3;
/** Milliseconds for which a change may keep the agent from everything else. */
const MOST = 50;
const WHAT: Readonly<Record<Change, string>> = {
  backend: "one backend less or more",
  weight: "one backend drained or back",
};

async function measure(runs: number): Promise<Measurement[]> {
  const host = new Host<Request, number>(join(import.meta.dir, "vip-large-host.ts"), {});
  const measurements: Measurement[] = [];
  try {
    for (const plane of PLANES) {
      for (const what of ["backend", "weight"] as const) {
        const change = (backends: number) => () => host.ask({ do: "change", plane, what, backends });
        const { ours, theirs } = await paired(runs, change(MANY), change(FEW));
        measurements.push({
          name: `${plane}: ${WHAT[what]} of ${MANY}`,
          reference: `of ${FEW}`,
          ours: summarise(ours),
          theirs: summarise(theirs),
          budget: { most: MOST },
        });
      }
    }
    return measurements;
  } finally {
    await host.ask({ do: "close" });
    await host.close();
  }
}
