import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Reply, Request, Spec } from "./cni-host.ts";
import { Host } from "./host.ts";
import { type Benchmark, type Measurement, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";
import { chainOf, type NetworkOptions, OURS, REFERENCE } from "./plugins.ts";

const MAPPED: NetworkOptions = { masquerade: true, hostPort: 18080 };

/** ADD and DEL of one container without masquerade. */
export const PLAIN: Benchmark = {
  name: "cni-plain",
  runs: 200,
  whyNot,
  run: async (runs) => {
    const { ours, theirs } = await compare({ masquerade: false }, { do: "cycle" }, runs);
    const reference = "bridge + host-local";
    return [
      { name: "ADD, plain bridge", reference, ...timesOf("add", ours, theirs), budget: { ratio: 0.8 } },
      { name: "DEL, plain bridge", reference, ...timesOf("del", ours, theirs), budget: { ratio: 1.1 } },
    ];
  },
};

/** ADD and DEL of one container with masquerade and one host port. */
export const CHAIN: Benchmark = {
  name: "cni-chain",
  runs: 60,
  whyNot,
  run: async (runs) => {
    const { ours, theirs } = await compare(MAPPED, { do: "cycle" }, runs);
    const reference = "bridge + host-local, then portmap";
    return [
      { name: "ADD, masquerade and host port", reference, ...timesOf("add", ours, theirs), budget: { ratio: 0.25 } },
      { name: "DEL, masquerade and host port", reference, ...timesOf("del", ours, theirs), budget: { ratio: 0.35 } },
    ];
  },
};

/** Many containers at once. */
export const BURST: Benchmark = {
  name: "cni-burst",
  runs: 5,
  whyNot,
  run: async (runs) => {
    const { ours, theirs } = await compare({ masquerade: true }, { do: "burst", count: 100, width: 16 }, runs);
    const reference = "bridge + host-local";
    return [
      {
        name: "100 ADDs, 16 at a time, masquerade",
        reference,
        ...timesOf("add", ours, theirs),
        // Twice the reference's rate is half its time.
        budget: { ratio: 0.5 },
      },
    ];
  },
};

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync(join(REFERENCE, "portmap"))) return `${REFERENCE} is missing: install containernetworking-plugins`;
  if (!existsSync(OURS)) return `${OURS} is missing: make build`;
  return undefined;
}

async function compare(
  options: NetworkOptions,
  request: Request,
  runs: number,
): Promise<{ ours: Reply[]; theirs: Reply[] }> {
  const ours = hostOf(OURS, options);
  const theirs = hostOf(REFERENCE, options);
  try {
    return await paired(
      runs,
      () => ours.ask(request),
      () => theirs.ask(request),
    );
  } finally {
    await Promise.all([ours.close(), theirs.close()]);
  }
}

function hostOf(path: string, options: NetworkOptions): Host<Request, Reply> {
  const spec: Spec = { path, steps: chainOf(path, options) };
  return new Host<Request, Reply>(join(import.meta.dir, "cni-host.ts"), spec);
}

function timesOf(
  verb: keyof Reply,
  ours: readonly Reply[],
  theirs: readonly Reply[],
): Pick<Measurement, "ours" | "theirs"> {
  return { ours: summarise(ours.map((reply) => reply[verb])), theirs: summarise(theirs.map((reply) => reply[verb])) };
}
