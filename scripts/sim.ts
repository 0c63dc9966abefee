import { parseArgs } from "node:util";
import { messageOf } from "../lib/error.ts";
import { chaos, HEAL_LIMIT_MS } from "../test/sim/chaos.ts";

// Runs the simulated cluster through random mishaps: bun scripts/sim.ts [--seed N] [--nodes N] [--seconds N] [--runs N]
// Runs after the first have the seeds that follow. Exit status: 0 when every invariant held; 1 when one was broken,
// with the run told as a story; 2 wrong usage.

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
    nodes: { type: "string", default: "30" },
    seconds: { type: "string", default: "60" },
    runs: { type: "string", default: "1" },
  },
});
const [seed = 0, nodes = 0, seconds = 0, runs = 0] = [values.seed, values.nodes, values.seconds, values.runs].map(
  Number,
);
if (![seed, nodes, seconds, runs].every((value) => Number.isInteger(value) && value >= 0) || nodes < 2) {
  console.error("usage: sim [--seed N] [--nodes N] [--seconds N] [--runs N]; all are whole numbers, nodes 2 or more");
  process.exit(2);
}

/** True when the run of this seed broke nothing. */
function runOnce(runSeed: number): boolean {
  const start = performance.now();
  const { world, invariants, healedMs } = chaos({ seed: runSeed, nodes, seconds, loss: 0.02, doubled: 0.01 });
  const took = ((performance.now() - start) / 1000).toFixed(1);
  const trace = world.traceHash.toString(16).padStart(8, "0");
  const healed = healedMs === undefined ? "never" : `${(healedMs / 1000).toFixed(2)} s`;
  console.log(
    `seed ${runSeed}: ${nodes} nodes, ${(world.now / 1000).toFixed(0)} s simulated in ${took} s, ` +
      `${world.packets} packets, all equal after ${healed}, trace ${trace}`,
  );
  if (healedMs === undefined || healedMs > HEAL_LIMIT_MS) invariants.violations.push(`equal after ${healed}`);
  try {
    invariants.assertKept();
    return true;
  } catch (error) {
    console.log(messageOf(error));
    console.log(`\nrepeat it with: make sim SEED=${runSeed}`);
    return false;
  }
}

for (let run = 0; run < runs; run++) {
  if (!runOnce(seed + run)) {
    process.exitCode = 1;
    break;
  }
}
