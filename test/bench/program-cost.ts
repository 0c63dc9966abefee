import { readFileSync } from "node:fs";
import { bpf, bpfAttribute } from "../../kernel/bpf.ts";
import { CgroupLink } from "../../kernel/bpf-link.ts";
import { type CgroupHook, closeProgram } from "../../kernel/bpf-program.ts";
import { systemCall, trySystemCall } from "../../kernel/ffi.ts";
import { closeFolder, openFolder } from "../../kernel/folder.ts";
import { withPlainProgram } from "../support/socket-place.ts";

/** linux/bpf.h, enum bpf_cmd; its only kind of statistics is the time that programs run. */
const BPF_ENABLE_STATS = 32;

/** What a program has cost so far, as the kernel counts it. */
interface Spent {
  readonly nanoseconds: number;
  readonly runs: number;
}

/** Nanoseconds that the programs at `hooks` of a control group run for each of `count` actions, by the kernel's own
 *  count. What counting itself takes is known from a program that does nothing, which is attached beside them
 *  meanwhile, and is taken off. `pins`: the folder of the links. */
export async function programCost(
  { cgroup, pins }: { readonly cgroup: string; readonly pins: string },
  hooks: readonly CgroupHook[],
  count: number,
  action: () => Promise<unknown>,
): Promise<number> {
  const counting = systemCall("count the time of BPF programs", "bpf", BPF_ENABLE_STATS, bpfAttribute({}), 4);
  const folder = openFolder(cgroup);
  const watched = hooks.map((hook) => {
    const link = CgroupLink.pinned(`${pins}/links/${hook}`);
    if (link === undefined) throw new Error(`no link ${hook}`);
    const idle = withPlainProgram(hook, (program) => CgroupLink.attach(program, folder, hook));
    return { link, idle };
  });
  try {
    const before = watched.map(({ link, idle }) => [spentBy(link), spentBy(idle)] as const);
    await action();
    const costs = watched.map(({ link, idle }, index) => {
      const [ours, plain] = before[index] ?? [];
      const { nanoseconds, runs } = since(spentBy(link), ours);
      const empty = since(spentBy(idle), plain);
      return nanoseconds - (runs * empty.nanoseconds) / empty.runs;
    });
    return costs.reduce((sum, cost) => sum + cost, 0) / count;
  } finally {
    for (const { link, idle } of watched) {
      link.close();
      idle.close();
    }
    closeFolder(folder);
    trySystemCall("close", counting);
  }
}

function since(now: Spent, before: Spent | undefined): Spent {
  return { nanoseconds: now.nanoseconds - (before?.nanoseconds ?? 0), runs: now.runs - (before?.runs ?? 0) };
}

function spentBy(link: CgroupLink): Spent {
  const program = bpf("open a BPF program", "programById", bpfAttribute({ u32: { 0: link.info()?.program ?? 0 } }));
  const info = readFileSync(`/proc/self/fdinfo/${program}`, "utf8");
  closeProgram(program);
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)$`, "m").exec(info)?.[1]);
  return { nanoseconds: field("run_time_ns"), runs: field("run_cnt") };
}
