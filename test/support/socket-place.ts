import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpfAssembler } from "../../kernel/bpf-assembler.ts";
import { attachTypeOf, type CgroupHook, closeProgram, loadProgram } from "../../kernel/bpf-program.ts";
import { addressOf, systemCall } from "../../kernel/ffi.ts";
import { closeFolder, openFolder } from "../../kernel/folder.ts";
import { mountBpfFilesystem, mounts } from "../../kernel/mounts.ts";
import type { SocketPlaces } from "../../l4lb/dataplanes/socket-foundation.ts";

const PREFIX = "dcos-net-socket";
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_QUERY = 16;

/** A control group and a BPF file system for one test: what is attached and pinned there goes with them. */
export interface SocketPlace extends SocketPlaces {
  /** Where the pins of a data plane are. */
  readonly pins: string;
  close(): void;
}

let number = 0;

/** Why there can't be such a place here; undefined when there can. */
export function socketPlaceUnavailable(): string | undefined {
  if (process.getuid?.() !== 0) return "making control groups and BPF file systems needs root";
  return mounts().some(({ type }) => type === "cgroup2") ? undefined : "no cgroup2 is mounted";
}

export function openSocketPlace(): SocketPlace {
  removeLeftovers();
  const own = `${PREFIX}-${process.pid}-`;
  const cgroup = join(testCgroups(), `${own}${number++}`);
  const bpffs = mkdtempSync(join(tmpdir(), own));
  mkdirSync(cgroup);
  mountBpfFilesystem(bpffs);
  return {
    cgroup,
    bpffs,
    folder: "l4lb",
    pins: join(bpffs, "l4lb"),
    close() {
      run("umount", bpffs);
      rmSync(bpffs, { recursive: true });
      rmdirSync(cgroup);
    },
  };
}

/** The root of the control groups of this machine, which {@link socketPlaceUnavailable} has found. */
export function testCgroups(): string {
  const found = mounts().find(({ type }) => type === "cgroup2");
  if (found === undefined) throw new Error("no cgroup2 is mounted");
  return found.path;
}

/** Removes places of test runs that were killed. One that can't be removed, because another run sweeps at this moment
 *  or a process of the dead run still ends, is left to the next. */
function removeLeftovers(): void {
  const isDead = (name: string): boolean => {
    const [, pid] = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name) ?? [];
    return pid !== undefined && !isAlive(Number(pid));
  };
  const attempt = (step: () => void): void => {
    try {
      step();
    } catch {
      // The next run sweeps again.
    }
  };
  for (const name of readdirSync(tmpdir()).filter(isDead)) {
    const folder = join(tmpdir(), name);
    attempt(() => {
      if (mounts().some(({ path }) => path === folder)) run("umount", folder);
      rmSync(folder, { recursive: true });
    });
  }
  for (const name of readdirSync(testCgroups()).filter(isDead)) attempt(() => rmdirSync(join(testCgroups(), name)));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Runs `action` with a descriptor of a program that lets everything pass. */
export function withPlainProgram<T>(hook: CgroupHook, action: (program: number) => T): T {
  const instructions = new BpfAssembler().move("r0", 1).exit().finish();
  const program = loadProgram({ name: "plain", hook, instructions });
  try {
    return action(program);
  } finally {
    closeProgram(program);
  }
}

/** Numbers of the programs that are attached to a control group itself (BPF_PROG_QUERY). */
export function programsOf(cgroup: string, hook: CgroupHook): number[] {
  const folder = openFolder(cgroup);
  try {
    const ids = new Uint8Array(new ArrayBuffer(4 * 64));
    const attribute = new Uint8Array(new ArrayBuffer(64));
    const view = new DataView(attribute.buffer);
    view.setUint32(0, folder, true);
    view.setUint32(4, attachTypeOf(hook), true);
    view.setBigUint64(16, BigInt(addressOf(ids)), true);
    view.setUint32(24, 64, true);
    systemCall("query programs", "bpf", BPF_PROG_QUERY, attribute, attribute.length);
    const found = new DataView(ids.buffer);
    return Array.from({ length: view.getUint32(24, true) }, (_, index) => found.getUint32(4 * index, true));
  } finally {
    closeFolder(folder);
  }
}

/** Attaches a program to a control group in the old way, which lets none beside it (BPF_PROG_ATTACH, flags 0), while
 *  `action` runs. */
export function withExclusiveProgram<T>(cgroup: string, hook: CgroupHook, action: () => T): T {
  const folder = openFolder(cgroup);
  const attribute = (program: number): Uint8Array =>
    new Uint8Array(Uint32Array.of(folder, program, attachTypeOf(hook), 0).buffer);
  const attach = (program: number): number =>
    systemCall("attach a program", "bpf", BPF_PROG_ATTACH, attribute(program), 16);
  withPlainProgram(hook, attach);
  try {
    return action();
  } finally {
    systemCall("detach a program", "bpf", BPF_PROG_DETACH, attribute(0), 16);
    closeFolder(folder);
  }
}
