import type { Command } from "commander";
import { type App, EXIT } from "../app.ts";
import { show } from "../output.ts";
import { type CheckResult, preflight } from "../preflight.ts";
import { requireRoot } from "../self.ts";

/** `dcos-net preflight`: can this machine do it all? */
export function addPreflight(program: Command, app: App): void {
  program
    .command("preflight")
    .description("try for real what this machine must be able to do; exit status 1 when something needed is missing")
    .option("--json", "print JSON")
    .action(({ json = false }: { json?: boolean }) => {
      requireRoot("try the kernel's features");
      const results = preflight(app.kernel);
      show(app.out, json, results, resultLines);
      if (results.some(({ works, required }) => required && !works)) app.exitCode = EXIT.bad;
    });
}

/** What is missing and needed first, then what is missing, then what works. */
function resultLines(results: readonly CheckResult[]): string[] {
  const rank = ({ works, required }: CheckResult) => (works ? 2 : required ? 0 : 1);
  return results.toSorted((a, b) => rank(a) - rank(b)).flatMap(lines);
}

function lines({ name, works, required, needed, problem, remedy }: CheckResult): string[] {
  if (works) return [`ok       ${name}: ${needed}`];
  return [`${required ? "MISSING " : "without "} ${name}: ${needed}`, `           ${problem}`, `           ${remedy}`];
}
