import { fileURLToPath } from "node:url";
import { runInUml } from "../support/uml.ts";
import { IPVS_CASES, IPVS_LISTED, type IpvsRecordings } from "./ipvs-cases.ts";
import { datagramsIn } from "./strace.ts";

/** Records anew what `ipvsadm` sends to the kernel for each case: `bun test/golden/record-ipvs.ts`, with strace and
 *  user-mode-linux installed. With the word `inside` it is the part that runs in user-mode Linux and prints. */

/** Of linux/ip_vs.h and linux/genetlink.h: what isn't a question to the registry of families. */
const GENL_ID_CTRL = 16;
const IPVS_COMMANDS_THAT_CHANGE = new Set([1, 2, 3, 5, 6, 7]);
/** New service, new destination: so the kernel marks what it lists. */
const IPVS_ANSWERS = new Set([1, 5]);

function run(command: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  const { stdout, stderr } = Bun.spawnSync([...command], { timeout: 20_000 });
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

function recordCase(command: string): { readonly command: string; readonly hex: string } {
  const words = ["strace", "-e", "trace=sendmsg", "-e", "write=all", "ipvsadm", ...command.split(" ")];
  const hex = datagramsIn(run(words).stderr).findLast((each) => {
    const bytes = Uint8Array.fromHex(each);
    return (bytes[4] ?? 0) !== GENL_ID_CTRL && IPVS_COMMANDS_THAT_CHANGE.has(bytes[16] ?? 0);
  });
  if (hex === undefined) throw new Error(`ipvsadm ${command} sent no change`);
  return { command, hex };
}

/** What the tool hears about services and destinations, without the ends of the lists. */
function recordReplies(): string[] {
  run(["ip", "link", "set", "lo", "up"]);
  run(["ipvsadm", "--clear"]);
  for (const command of IPVS_LISTED) run(["ipvsadm", ...command.split(" ")]);
  const trace = run(["strace", "-e", "trace=recvmsg", "-e", "read=all", "ipvsadm", "-L", "-n"]).stderr;
  const answers = datagramsIn(trace).filter((each) => {
    const bytes = Uint8Array.fromHex(each);
    return (bytes[4] ?? 0) > GENL_ID_CTRL && IPVS_ANSWERS.has(bytes[16] ?? 0);
  });
  // The tool looks at each before it takes it.
  return [...new Set(answers)];
}

if (process.argv[2] === "inside") {
  const version = run(["ipvsadm", "--version"]).stdout.split("(")[0]?.trim() ?? "";
  const recordings = IPVS_CASES.map(({ command }) => recordCase(command));
  const found: IpvsRecordings = { version, recordings, replies: recordReplies() };
  console.log(JSON.stringify(found));
} else {
  const lines: string[] = [];
  const status = await runInUml({
    command: [process.execPath, "test/golden/record-ipvs.ts", "inside"],
    onLine: (line) => lines.push(line),
  });
  if (status !== 0) throw new Error(lines.join("\n"));
  const found: IpvsRecordings = JSON.parse(lines.join(""));
  await Bun.write(fileURLToPath(new URL("ipvsadm.json", import.meta.url)), `${JSON.stringify(found, undefined, 2)}\n`);
  console.log(
    `${found.recordings.length} messages of ${found.version}, ${found.replies.length} datagrams of the kernel`,
  );
}
