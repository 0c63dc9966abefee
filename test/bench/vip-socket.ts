import { join } from "node:path";
import { socketPlaceUnavailable } from "../support/socket-place.ts";
import { Host } from "./host.ts";
import { type Benchmark, type Measurement, type Sample, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";
import type { Request } from "./vip-socket-host.ts";

/** Through a virtual IP on sockets beside a direct connection by a client that no program of ours sees; what the
 *  programs cost a client that doesn't go to a virtual IP; their time as the kernel counts it; first synchronisation,
 *  one change, memory. 10,000 virtual IPs are in force all the time. */
export const VIP_SOCKET: Benchmark = {
  name: "vip-socket",
  runs: 100,
  whyNot: () => socketPlaceUnavailable() ?? (Bun.which("iperf3") === null ? "not installed: iperf3" : undefined),
  run: measure,
};

/** How many times what is done directly must be done through a virtual IP in the same time. */
const AT_LEAST = 0.98;
/** A packet costs the same in both; but how much goes through the loopback differs by more than 2 % from time to
 *  time. */
const STREAM_AT_LEAST = 0.95;
/** Talks are short and differ more. */
const MORE = 4;
/** A stream takes two seconds, so there are fewer. */
const FEWER = 10;

async function measure(runs: number): Promise<Measurement[]> {
  const host = new Host<Request, number>(join(import.meta.dir, "vip-socket-host.ts"), {});
  try {
    const talks: Measurement[] = [];
    for (const what of ["connects", "requests"] as const) {
      for (const how of ["through", "beside"] as const) {
        const times = await paired(
          runs * MORE,
          () => host.ask({ do: "talk", what, how }),
          () => host.ask({ do: "talk", what, how: "direct" }),
        );
        talks.push({
          name: `socket: a ${what.slice(0, -1)} ${how} a virtual IP`,
          unit: "µs",
          reference: "direct, without programs",
          ours: summarise(times.ours),
          theirs: summarise(times.theirs),
          budget: { ratio: Number((1 / AT_LEAST).toFixed(3)) },
        });
      }
    }
    const costs = await paired(
      runs,
      () => host.ask({ do: "cost", how: "through" }),
      () => host.ask({ do: "cost", how: "beside" }),
    );
    const rates = await paired(
      Math.ceil(runs / FEWER),
      () => host.ask({ do: "stream", how: "through" }),
      () => host.ask({ do: "stream", how: "direct" }),
    );
    const changes = await paired(
      runs,
      () => host.ask({ do: "change", services: "many" }),
      () => host.ask({ do: "change", services: "few" }),
    );
    return [
      ...talks,
      {
        name: "socket: time in our programs, one connection",
        unit: "ns",
        reference: "one beside virtual IPs",
        ours: summarise(costs.ours),
        theirs: summarise(costs.theirs),
      },
      {
        name: "socket: a stream through a virtual IP",
        unit: "Gbit/s",
        reference: "direct, without programs",
        ours: summarise(rates.ours),
        theirs: summarise(rates.theirs),
        budget: { atLeast: STREAM_AT_LEAST },
      },
      {
        name: "socket: one change among 10,000 VIPs",
        unit: "µs",
        reference: "among 10 VIPs",
        ours: summarise(changes.ours),
        theirs: summarise(changes.theirs),
        budget: { ratio: 1.2 },
      },
      alone("socket: first sync of 10,000 VIPs × 3", "ms", await often(5, () => host.ask({ do: "sync" })), 500),
      alone("socket: kernel memory of 10,000 VIPs × 3", "MB", await often(1, () => host.ask({ do: "memory" })), 64),
    ];
  } finally {
    await host.ask({ do: "close" });
    await host.close();
  }
}

async function often(times: number, ask: () => Promise<number>): Promise<Sample> {
  const taken: number[] = [];
  for (let time = 0; time < times; time++) taken.push(await ask());
  return summarise(taken);
}

function alone(name: string, unit: string, ours: Sample, most: number): Measurement {
  return { name, unit, ours, budget: { most } };
}
