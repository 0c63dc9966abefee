import { join } from "node:path";
import { runInUml, UML_RECORD } from "../test/support/uml.ts";

// Runs mocha files inside user-mode Linux, where IPVS is: bun scripts/run-uml.ts RECORD GREP FILE...
// What RECORD and GREP are is said in run-mocha.ts, which does the work inside.

const [record = "", grep = "", ...files] = process.argv.slice(2);
const runner = join("scripts", "run-mocha.ts");
process.exitCode = await runInUml({
  command: [process.execPath, "--bun", runner, UML_RECORD, grep, ...files],
  record,
  onLine: (line) => console.log(line),
});
