import { runInUml, UML_PROGRAMS } from "../support/uml.ts";
import { type Benchmark, summarise } from "./measurement.ts";
import { FEW, type IpvsTimes, MANY } from "./vip-ipvs-inside.ts";

/** Virtual IPs on IPVS in user-mode Linux, where a system call costs about 9 µs: only ratios mean something. */
export const VIP_IPVS: Benchmark = {
  name: "vip-ipvs",
  runs: 3,
  whyNot: () => {
    const missing = [...UML_PROGRAMS, "ipvsadm"].filter((program) => Bun.which(program) === null);
    return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")}`;
  },
  run: async (runs) => {
    const { first, change } = await timesOf(runs);
    return [
      {
        name: `${MANY} virtual IPs into IPVS`,
        reference: "ipvsadm -R",
        ours: summarise(first.ours),
        theirs: summarise(first.theirs),
        budget: { ratio: 0.5 },
      },
      {
        name: `one change, ${MANY} or ${FEW} virtual IPs`,
        reference: `ours at ${FEW} virtual IPs`,
        ours: summarise(change.many),
        theirs: summarise(change.few),
        budget: { ratio: 1.2 },
      },
    ];
  },
};

async function timesOf(runs: number): Promise<IpvsTimes> {
  const lines: string[] = [];
  const status = await runInUml({
    command: [process.execPath, "--bun", "test/bench/vip-ipvs-inside.ts", String(runs)],
    onLine: (line) => lines.push(line),
  });
  if (status !== 0) throw new Error(lines.join("\n"));
  return JSON.parse(lines.at(-1) ?? "");
}
