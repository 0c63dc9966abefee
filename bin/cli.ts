import { Command, CommanderError } from "commander";
import { messageOf, NetError } from "../lib/error.ts";
import { type App, createApp, EXIT } from "./app.ts";
import { addAgent } from "./commands/agent.ts";
import { addCleanup } from "./commands/cleanup.ts";
import { addCni } from "./commands/cni.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addDns } from "./commands/dns.ts";
import { addDrain } from "./commands/drain.ts";
import { addFacts } from "./commands/facts.ts";
import { addIpam } from "./commands/ipam.ts";
import { addLab } from "./commands/lab.ts";
import { addMesosDns } from "./commands/mesos-dns.ts";
import { addNode } from "./commands/node.ts";
import { addOverlay } from "./commands/overlay.ts";
import { addPing } from "./commands/ping.ts";
import { addPreflight } from "./commands/preflight.ts";
import { addStatus } from "./commands/status.ts";
import { addTask } from "./commands/task.ts";
import { addTrace } from "./commands/trace.ts";
import { addVip } from "./commands/vip.ts";
import { addExamples } from "./examples.ts";
import { terminal } from "./output.ts";
import { VERSION } from "./version.ts";

const AFTER_HELP = `
Exit status: 0 good; 1 failed, or not healthy; 2 wrong usage.
Settings: --config FILE (JSON), then environment DCOS_NET_<KEY>; see \`dcos-net config show\`.

Examples:
  dcos-net preflight                      can this machine do it all?
  dcos-net lab up --nodes 3               a cluster on this machine
  dcos-net lab run --node 1 --name web -- dcos-net lab serve --port 80
  dcos-net agent --nodes nodes.json       the daemon of a node
  dcos-net status                         how is it doing?
  dcos-net node ls                        who is in the cluster?
  dcos-net vip ls                         which virtual IPs are there?
  dcos-net trace vip web.marathon:80      why doesn't it answer?
  dcos-net overlay explain 9.0.2.5        whose address is that, and how is it reached?
  dcos-net cni install --dir /opt/cni/bin the plugins for podman, containerd, Mesos`;

/** The whole command line, as a tree that commander parses and completion scripts are made from. */
export function commandTree(app: App): Command {
  const program = new Command("dcos-net")
    .description("Container networking for Mesos, Docker and CNI hosts.")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "explain a command")
    .option("--config <file>", "read settings from this file")
    .on("option:config", (file: string) => {
      app.configFile = file;
    })
    .exitOverride()
    .configureOutput({
      writeOut: (text) => app.out.line(text.trimEnd()),
      writeErr: (text) => app.out.note(text.trimEnd()),
    })
    .showHelpAfterError("(add --help for an explanation)")
    .addHelpText("after", AFTER_HELP);
  addAgent(program, app);
  addStatus(program, app);
  addOverlay(program, app);
  addNode(program, app);
  addTask(program, app);
  addVip(program, app);
  addTrace(program, app);
  addPing(program, app);
  addDrain(program, app);
  addFacts(program, app);
  addDns(program, app);
  addMesosDns(program, app);
  addIpam(program, app);
  addCni(program, app);
  addCleanup(program, app);
  addPreflight(program, app);
  addConfig(program, app);
  addLab(program, app);
  addCompletion(program, app);
  addExamples(program);
  return program;
}

/** Runs one command line (without the program's name) and returns its exit status. */
export async function runCommandLine(args: readonly string[], app: App): Promise<number> {
  const program = commandTree(app);
  try {
    await program.parseAsync(args, { from: "user" });
    return app.exitCode;
  } catch (error) {
    // Commander has printed help, version or refusal by itself.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.good : EXIT.usage;
    report(error, args, app);
    return EXIT.bad;
  }
}

/** The command line as a process: arguments and environment from the operating system. */
export async function main(): Promise<void> {
  // The executable starts with the policy of a plugin call, in which nothing is worth compiling.
  Bun.unsafe.setJITPolicy(1);
  process.exitCode = await runCommandLine(process.argv.slice(2), createApp(terminal, process.env));
}

/** What node:fs throws when the operating system refuses: the message has the errno name, the call and the path. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
}

/** Failures of the outside world in a sentence, or as JSON for callers that asked for JSON. Our own mistakes keep
 *  their stack. */
function report(error: unknown, args: readonly string[], { out }: App): void {
  if (!(error instanceof NetError)) {
    out.note(isSystemError(error) ? `dcos-net: ${error.message}` : stackOf(error));
    return;
  }
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  if (!own.includes("--json")) {
    out.note(`dcos-net: ${error.message}`);
    return;
  }
  const { code, tried, said, remedy, errno } = error;
  out.note(JSON.stringify({ error: { code, tried, said, remedy, errno } }));
}
