import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Host } from "./host.ts";
import { type Benchmark, type Measurement, type Sample, summarise } from "./measurement.ts";
import type { Reply, Request, Spec } from "./vip-event-host.ts";

const EXECUTABLE = resolve(import.meta.dir, "../../dist/dcos-net");
const FEW = 10;
const MANY = 10_000;
const CHANGES = 100;
const MEGABYTE = 1e6;

/** How soon a real agent has a change of a task in the kernel, which includes the 30 ms for which a file must have
 *  rested, and what it takes in memory, with few and with many virtual IPs of three backends each. */
export const VIP_EVENT: Benchmark = {
  name: "vip-event",
  runs: 3,
  whyNot: () => {
    if (process.getuid?.() !== 0) return "needs root";
    return existsSync(EXECUTABLE) ? undefined : "dist/dcos-net is missing: make build";
  },
  run: async (runs) => {
    const [few, many] = [await measure(FEW, runs), await measure(MANY, runs)];
    const event = (vips: number) => `task file to kernel, ${vips} VIPs`;
    const late = (vips: number, ours: Sample): Measurement => {
      return { name: `${event(vips)}, p99`, ours, budget: { most: 100 } };
    };
    return [
      late(FEW, few.late),
      late(MANY, many.late),
      {
        ...{ name: `${event(MANY)}, p50`, reference: `${FEW} VIPs`, budget: { ratio: 1.2 } },
        ...{ ours: many.middle, theirs: few.middle },
      },
      { name: `agent resident, ${MANY} VIPs x 3`, unit: "MB", ours: many.resident, budget: { most: 160 } },
      { name: "agent resident at most since its start", unit: "MB", ours: many.peak },
    ];
  },
};

interface Measures {
  readonly middle: Sample;
  readonly late: Sample;
  readonly resident: Sample;
  readonly peak: Sample;
}

async function measure(vips: number, runs: number): Promise<Measures> {
  const spec: Spec = { executable: EXECUTABLE, vips };
  const host = new Host<Request, Reply>(join(import.meta.dir, "vip-event-host.ts"), spec);
  try {
    const replies: Reply[] = [];
    while (replies.length < runs) replies.push(await host.ask({ changes: CHANGES }));
    const share = (part: number) =>
      summarise(
        replies.map(({ delays }) => {
          const sorted = delays.toSorted((a, b) => a - b);
          return sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN;
        }),
      );
    const resident = summarise(replies.map((reply) => reply.resident / MEGABYTE));
    const peak = summarise(replies.map((reply) => reply.peak / MEGABYTE));
    return { middle: share(0.5), late: share(0.99), resident, peak };
  } finally {
    await host.close();
  }
}
