import { createApp } from "../../bin/app.ts";
import { runCommandLine } from "../../bin/cli.ts";

/** What came of a command line. */
export interface Outcome {
  readonly status: number;
  /** What it printed. */
  readonly output: string;
  /** What it said on standard error. */
  readonly notes: string;
}

/** Runs a command line in this process, without the program's name. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const lines: string[] = [];
  const notes: string[] = [];
  const out = { line: (text: string) => void lines.push(text), note: (text: string) => void notes.push(text) };
  const status = await runCommandLine(args, createApp(out, env));
  return { status, output: lines.join("\n"), notes: notes.join("\n") };
}
