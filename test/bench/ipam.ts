/** Cost of one lease while many are held, in process: an allocation, a release and a refused duplicate, each with the store
 *  opened anew as a plugin process does. Prints one JSON object a line: {name, value, unit}. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allocate, release } from "../../ipam/allocate.ts";
import { completeRangeSets } from "../../ipam/range.ts";
import { openStore } from "../../ipam/store.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { formatIp, parsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";

const HELD = 20_000;
const ROUNDS = 300;
const NETWORK = "bench";
const dataDir = mkdtempSync(join(tmpdir(), "dcos-net-bench-ipam-"));

/** As many leases as an earlier plugin would have left, written as plain files. */
function fill(): void {
  mkdirSync(join(dataDir, NETWORK));
  const first = parsePrefix("10.0.0.0/15").ip.value + 2n;
  for (let n = 0; n < HELD; n++) {
    const name = formatIp({ family: 4, value: first + BigInt(n) });
    writeFileSync(join(dataDir, NETWORK, name), `${n.toString(16).padStart(64, "0")}\r\neth0`);
  }
}

function open() {
  return openStore(linuxFiles, { dataDir, network: NETWORK, bootId: "bench", lockWaitMs: 1000 });
}

function milliseconds(action: () => void): number {
  const start = Bun.nanoseconds();
  action();
  return (Bun.nanoseconds() - start) / 1e6;
}

function report(name: string, samples: number[]): void {
  samples.sort((a, b) => a - b);
  for (const [label, share] of [
    ["median", 0.5],
    ["p99", 0.99],
  ] as const) {
    const value = samples[Math.floor(samples.length * share)] ?? Number.NaN;
    console.log(JSON.stringify({ name: `${name}, ${HELD} leases held, ${label}`, value, unit: "ms" }));
  }
}

function refuseDuplicate(subnets: ReturnType<typeof completeRangeSets>): void {
  try {
    allocate(open(), subnets, { id: "0".repeat(64), ifname: "eth0" });
  } catch (error) {
    if (error instanceof NetError && error.code === "conflict") return;
    throw error;
  }
  throw new Error("a duplicate was not refused");
}

try {
  fill();
  const wide = completeRangeSets([[{ subnet: parsePrefix("10.0.0.0/15") }]]);
  /** Two addresses more than are held: the search for a free one passes all that are taken. */
  const range = { subnet: parsePrefix("10.0.0.0/15"), rangeEnd: parsePrefix("10.0.78.35/32").ip };
  const full = completeRangeSets([[range]]);
  report("index made from all files", [milliseconds(() => allocate(open(), wide, { id: "first", ifname: "eth0" }))]);
  for (const [pool, sets] of [
    ["wide pool", wide],
    ["pool with two free addresses", full],
  ] as const) {
    const samples = { allocate: [] as number[], release: [] as number[], duplicate: [] as number[] };
    for (let n = 0; n < ROUNDS; n++) {
      const owner = { id: `round-${n}`, ifname: "eth0" };
      samples.allocate.push(milliseconds(() => allocate(open(), sets, owner)));
      samples.duplicate.push(milliseconds(() => refuseDuplicate(sets)));
      samples.release.push(milliseconds(() => release(open(), owner)));
    }
    for (const [what, times] of Object.entries(samples)) report(`lease ${what}, ${pool}`, times);
  }
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
