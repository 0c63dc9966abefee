import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { jsonLog } from "../../lib/log.ts";
import { startAgent } from "../agent.ts";
import { type App, bootId } from "../app.ts";
import type { Config } from "../config.ts";
import type { DockerParts, DockerService } from "../docker.ts";
import { requireRoot } from "../self.ts";

interface Options {
  readonly nodes?: string;
  readonly node?: string;
  readonly runDir?: string;
}

/** `dcos-net agent`: the daemon of a node. */
export function addAgent(program: Command, app: App): void {
  program
    .command("agent")
    .description("the daemon of a node: keeps tunnel, bridges, routes and CNI configuration as the nodes file says")
    .option("--nodes <file>", "the nodes file (setting nodes_file)")
    .option("--node <name>", "name of this node in it (setting node)")
    .option("--run-dir <dir>", "where status and lock go (setting run_dir)")
    .addHelpText(
      "after",
      `
Logs one JSON object a line on standard output. SIGTERM and SIGINT end it and leave the kernel as it is: containers
go on talking. SIGHUP reads the nodes file again, which also happens by itself when the file changes.`,
    )
    .action((options: Options) => runAgent(app, options));
}

async function runAgent(app: App, options: Options): Promise<void> {
  requireRoot("start the agent");
  const config = withOptions(app.settings().config, options);
  const log = jsonLog(
    "agent",
    config.log_level,
    () => new Date(),
    (line) => void process.stdout.write(line),
  );
  const { kernel, files } = app;
  const node = config.node === "" ? hostname() : config.node;
  const docker =
    config.docker === "on" ? await serveDocker({ config, kernel, files, log, bootId: bootId() }) : undefined;
  try {
    const agent = startAgent({ config, node, kernel, files, log, ...(docker && { onPass: docker.update }) });
    process.on("SIGHUP", () => agent.reload());
    await new Promise<void>((end) => {
      process.once("SIGTERM", () => end());
      process.once("SIGINT", () => end());
    });
    await agent.stop();
  } finally {
    await docker?.stop();
  }
}

/** Loads the part for Docker only where it is wanted. */
async function serveDocker(parts: DockerParts): Promise<DockerService> {
  const { startDocker } = await import("../docker.ts");
  return startDocker(parts);
}

function withOptions(config: Config, { nodes, node, runDir }: Options): Config {
  return {
    ...config,
    ...(nodes === undefined ? {} : { nodes_file: resolve(nodes) }),
    ...(node === undefined ? {} : { node }),
    ...(runDir === undefined ? {} : { run_dir: resolve(runDir) }),
  };
}
