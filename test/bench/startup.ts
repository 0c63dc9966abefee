import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { OPTIONS } from "../../scripts/build-options.ts";
import { type Benchmark, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";

const EXECUTABLE = resolve(import.meta.dir, "../../dist/dcos-net");

/** The executable answering CNI VERSION, beside a program that only prints a line, compiled with the same options. */
export const STARTUP: Benchmark = {
  name: "startup",
  runs: 300,
  whyNot: () => (existsSync(EXECUTABLE) ? undefined : "dist/dcos-net is missing: make build"),
  run: async (runs) => {
    const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-"));
    try {
      const hello = compileHello(directory);
      const { ours, theirs } = await paired(
        runs,
        () => timeOf([EXECUTABLE], { CNI_COMMAND: "VERSION" }, '{"cniVersion":"1.0.0"}'),
        () => timeOf([hello], {}, ""),
      );
      return [
        {
          name: "start-up, CNI VERSION",
          reference: "compiled hello world",
          ours: summarise(ours),
          theirs: summarise(theirs),
          budget: { ratio: 1.3 },
        },
      ];
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

function compileHello(directory: string): string {
  const outfile = join(directory, "hello");
  writeFileSync(join(directory, "hello.ts"), 'console.log("hello");\n');
  const command = [process.execPath, "build", ...OPTIONS, `--outfile=${outfile}`, join(directory, "hello.ts")];
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return outfile;
}

/** Milliseconds from before the process is created until it has been waited for. */
function timeOf(command: string[], env: Record<string, string>, stdin: string): number {
  const input = new TextEncoder().encode(stdin);
  const start = Bun.nanoseconds();
  const { exitCode, stdout } = Bun.spawnSync(command, { env, stdin: input, stdout: "pipe", stderr: "pipe" });
  const took = (Bun.nanoseconds() - start) / 1e6;
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stdout.toString()}`);
  return took;
}
