import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allocate, release } from "../../ipam/allocate.ts";
import { completeRangeSets } from "../../ipam/range.ts";
import { openStore } from "../../ipam/store.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { formatIp, offsetIp, parseIp, parsePrefix } from "../../lib/address.ts";
import { timeOf } from "./host.ts";
import { type Benchmark, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";
import { REFERENCE } from "./plugins.ts";

const HELD = 20_000;
const SUBNET = "10.88.0.0/16";
const NETWORK = "bench";

/** One address of a network where many are held: ours in process, the store opened anew each time as a plugin does; the
 *  reference as the process that it is. */
export const LEASES: Benchmark = {
  name: "leases",
  runs: 50,
  whyNot: () => (existsSync(join(REFERENCE, "host-local")) ? undefined : `${REFERENCE}/host-local is missing`),
  run: async (runs) => {
    const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-"));
    try {
      const { ours, theirs } = await paired(runs, oursIn(fill(directory, "ours")), theirsIn(fill(directory, "theirs")));
      return [
        {
          name: `one address, ${HELD} held`,
          reference: "host-local, a process",
          ours: summarise(ours),
          theirs: summarise(theirs),
          budget: { most: 1 },
        },
      ];
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

/** A data directory with the leases of many containers, as the reference lays them out. */
function fill(parent: string, name: string): string {
  const dataDir = join(parent, name);
  const network = join(dataDir, NETWORK);
  mkdirSync(network, { recursive: true });
  const first = parseIp("10.88.0.2");
  for (let index = 0; index < HELD; index++) {
    const ip = offsetIp(first, index) ?? first;
    writeFileSync(join(network, formatIp(ip)), `held-${index}\r\neth0`, { mode: 0o600 });
  }
  writeFileSync(join(network, "last_reserved_ip.0"), formatIp(offsetIp(first, HELD - 1) ?? first));
  return dataDir;
}

function oursIn(dataDir: string): () => number {
  const sets = completeRangeSets([[{ subnet: parsePrefix(SUBNET) }]]);
  const options = { dataDir, network: NETWORK, bootId: "bench", lockWaitMs: 1000 };
  let serial = 0;
  return () => {
    const owner = { id: `new-${serial++}`, ifname: "eth0" };
    const took = timeOf(() => allocate(openStore(linuxFiles, options), sets, owner));
    release(openStore(linuxFiles, options), owner);
    return took;
  };
}

function theirsIn(dataDir: string): () => number {
  const ipam = { type: "host-local", ranges: [[{ subnet: SUBNET }]], dataDir };
  const stdin = new TextEncoder().encode(JSON.stringify({ cniVersion: "1.0.0", name: NETWORK, ipam }));
  let serial = 0;
  return () => {
    const call = (verb: string): void => {
      const { exitCode, stdout } = Bun.spawnSync([join(REFERENCE, "host-local")], {
        stdin,
        stdout: "pipe",
        env: {
          CNI_COMMAND: verb,
          CNI_CONTAINERID: `new-${serial}`,
          CNI_IFNAME: "eth0",
          CNI_NETNS: "/proc/self/ns/net",
          CNI_PATH: REFERENCE,
        },
      });
      if (exitCode !== 0) throw new Error(`host-local ${verb} ended with ${exitCode}: ${stdout.toString()}`);
    };
    const took = timeOf(() => call("ADD"));
    call("DEL");
    serial++;
    return took;
  };
}
