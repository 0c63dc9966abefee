import { join } from "node:path";
import { Host } from "./host.ts";
import { type Benchmark, type Compared, type Measurement, type Sample, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";
import type { Reply, Request } from "./vip-nft-host.ts";

/** Syncs take most of a second each, so there are fewer. */
const SYNCS_OF_RUNS = 4;

/** Virtual IPs on nftables, with 10,000 of them in force: connections and requests beside direct ones and beside a rule
 *  written by hand, the first synchronisation beside `nft -f`, one change, memory. */
export const VIP_NFT: Benchmark = {
  name: "vip-nft",
  runs: 20,
  whyNot: () => {
    if (process.getuid?.() !== 0) return "needs root";
    return Bun.which("nft") === null ? "not installed: nft" : undefined;
  },
  run: measure,
};

async function measure(runs: number): Promise<Measurement[]> {
  const host = new Host<Request, Reply>(join(import.meta.dir, "vip-nft-host.ts"), {});
  const both = async (count: number, ours: Request, theirs: Request) => {
    const times = await paired(
      count,
      async () => (await host.ask(ours)).value,
      async () => (await host.ask(theirs)).value,
    );
    return { ours: summarise(times.ours), theirs: summarise(times.theirs) };
  };
  try {
    return [
      ...(await talks(runs, both)),
      ...(await syncs(Math.ceil(runs / SYNCS_OF_RUNS), both)),
      ...(await changes(runs, both)),
      await memory(host),
    ];
  } finally {
    await host.ask({ do: "close" });
    await host.close();
  }
}

type Both = (runs: number, ours: Request, theirs: Request) => Promise<Pick<Compared, "ours" | "theirs">>;

async function talks(runs: number, both: Both): Promise<Measurement[]> {
  const references = [
    { place: "direct", reference: "direct, without firewall", ratio: 1.5 },
    { place: "rule", reference: "one DNAT rule by hand", ratio: 1.1 },
  ] as const;
  const measurements: Measurement[] = [];
  for (const what of ["connects", "requests"] as const) {
    for (const { place, reference, ratio } of references) {
      const times = await both(runs, { do: "talk", what, place: "ours" }, { do: "talk", what, place });
      const name = `nftables: a ${what.slice(0, -1)}, beside ${place}`;
      measurements.push({ name, unit: "µs", reference, ...times, budget: { ratio } });
    }
  }
  return measurements;
}

async function syncs(runs: number, both: Both): Promise<Measurement[]> {
  const references = [
    { by: "same", reference: "nft -f of the same table", ratio: 1.2 },
    { by: "least", reference: "nft -f of what packets need", ratio: 2 },
  ] as const;
  const measurements: Measurement[] = [];
  for (const { by, reference, ratio } of references) {
    const times = await both(runs, { do: "sync", by: "ours" }, { do: "sync", by });
    measurements.push({ name: `nftables: 10,000 VIPs × 3, ${by}`, reference, ...times, budget: { ratio } });
  }
  return measurements;
}

async function changes(runs: number, both: Both): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const what of ["weight", "backend"] as const) {
    const change = (services: "few" | "many"): Request => ({ do: "change", what, services });
    const times = await both(runs, change("many"), change("few"));
    const name = `nftables: one ${what} among 10,000 VIPs`;
    measurements.push({ name, unit: "µs", reference: "among 10 VIPs", ...times, budget: { ratio: 1.2 } });
  }
  return measurements;
}

async function memory(host: Host<Request, Reply>): Promise<Measurement> {
  const taken: number[] = [];
  for (let time = 0; time < 3; time++) taken.push((await host.ask({ do: "memory" })).value);
  const ours: Sample = summarise(taken);
  return { name: "nftables: own memory, 10,000 VIPs × 3", unit: "MB", ours, budget: { most: 30 } };
}
