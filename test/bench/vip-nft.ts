import { join } from "node:path";
import { Host } from "./host.ts";
import { type Benchmark, type Compared, type Measurement, type Sample, summarise } from "./measurement.ts";
import { memoryGroupUnavailable } from "./memory-group.ts";
import { paired } from "./paired.ts";
import type { Reply, Request } from "./vip-nft-host.ts";

/** Streams take two seconds each, and syncs most of one, so there are fewer. */
const FEWER = 4;

/** Virtual IPs on nftables, with 10,000 of them in force: connections, requests and streams beside direct ones and
 *  beside a rule written by hand, the first synchronisation beside `nft -f`, one change, memory. */
export const VIP_NFT: Benchmark = {
  name: "vip-nft",
  runs: 20,
  whyNot: () => {
    if (process.getuid?.() !== 0) return "needs root";
    const missing = ["nft", "iperf3"].filter((program) => Bun.which(program) === null);
    return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")}`;
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
      ...(await streams(Math.ceil(runs / FEWER), both)),
      ...(await syncs(Math.ceil(runs / FEWER), both)),
      ...(await changes(runs, both)),
      await ownMemory(host),
      ...(await kernelMemory(host)),
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

async function streams(runs: number, both: Both): Promise<Measurement[]> {
  const references = [
    { place: "direct", reference: "direct, without firewall", atLeast: 0.8 },
    { place: "rule", reference: "one DNAT rule by hand", atLeast: 0.9 },
  ] as const;
  const measurements: Measurement[] = [];
  for (const { place, reference, atLeast } of references) {
    const rates = await both(runs, { do: "stream", place: "ours" }, { do: "stream", place });
    const name = `nftables: a stream, beside ${place}`;
    measurements.push({ name, unit: "Gbit/s", reference, ...rates, budget: { atLeast } });
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

async function ownMemory(host: Host<Request, Reply>): Promise<Measurement> {
  const ours = await often(host, { do: "memory" });
  return { name: "nftables: own memory, 10,000 VIPs × 3", unit: "MB", ours, budget: { most: 30 } };
}

/** Nothing where there is no memory controller to ask. */
async function kernelMemory(host: Host<Request, Reply>): Promise<Measurement[]> {
  if (memoryGroupUnavailable() !== undefined) return [];
  const ours = await often(host, { do: "kernel memory" });
  return [{ name: "nftables: kernel memory, 10,000 VIPs × 3", unit: "MB", ours, budget: { most: 64 } }];
}

async function often(host: Host<Request, Reply>, request: Request): Promise<Sample> {
  const taken: number[] = [];
  for (let time = 0; time < 3; time++) taken.push((await host.ask(request)).value);
  return summarise(taken);
}
