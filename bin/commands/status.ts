import { resolve } from "node:path";
import type { Command } from "commander";
import { type App, EXIT } from "../app.ts";
import type { ClusterSummary } from "../cluster-source.ts";
import { age, count, show } from "../output.ts";
import { type AgentStatus, type Health, healthOf, readStatus, type VipStatus } from "../status-file.ts";

const REPAIRS_SHOWN = 5;

interface Shown extends Health {
  readonly agent: AgentStatus | undefined;
}

/** `dcos-net status`: one screen, worst news first, and an exit status for scripts. */
export function addStatus(program: Command, app: App): void {
  program
    .command("status")
    .description("how this node's agent is doing; exit status 0 healthy, 1 not")
    .option("--run-dir <dir>", "where the agent keeps its status (setting run_dir)")
    .option("--json", "print JSON")
    .action(({ runDir, json = false }: { runDir?: string; json?: boolean }) => {
      const directory = runDir === undefined ? app.settings().config.run_dir : resolve(runDir);
      const agent = readStatus(app.files, directory);
      const status: Shown = { ...healthOf(agent, directory), agent };
      show(app.out, json, status, (shown) => statusLines(shown, Date.now()));
      if (!status.healthy) app.exitCode = EXIT.bad;
    });
}

/** The screen: news, then what is in force, then what was repaired lately. `now` in milliseconds since 1970. */
export function statusLines({ healthy, news, agent }: Shown, now: number): string[] {
  const lines = [healthy ? "healthy" : "NOT HEALTHY", ...news.map((line) => `  ! ${line}`)];
  if (agent === undefined) return lines;
  const ago = (at: string) => `${age(now - Date.parse(at))} ago`;
  const { node, process: own, startedAt, lastSuccess, origin, overlays, mtu, counts, repaired } = agent;
  return [
    ...lines,
    `node            ${node}, agent process ${own.pid}, started ${ago(startedAt)}`,
    `last good pass  ${lastSuccess === undefined ? "never" : ago(lastSuccess)}`,
    `cluster         ${count(counts.peers, "peer")}, overlays ${overlays.join(", ") || "none"}, from ${origin}`,
    ...(agent.cluster === undefined ? [] : [`members         ${membersText(agent.cluster)}`]),
    ...(mtu === undefined ? [] : [`MTU             ${mtu.reason}`]),
    `since start     ${counts.passes} passes, ${counts.changes} changes, ${counts.repairs} of them repairs`,
    ...(agent.vips === undefined ? [] : vipLines(agent.vips, ago)),
    ...repaired.slice(0, REPAIRS_SHOWN).map(({ at, objects }) => `repaired        ${ago(at)}: ${objects.join("; ")}`),
  ];
}

function vipLines(
  { dataplane, services, changes, repairs, repaired }: VipStatus,
  ago: (at: string) => string,
): string[] {
  const how = dataplane === undefined ? "not served" : `by ${dataplane.kind}: ${dataplane.reason}`;
  return [
    `virtual IPs     ${count(services, "service")}, ${how}`,
    `                since start ${changes} changes, ${repairs} repairs`,
    ...repaired.slice(0, REPAIRS_SHOWN).map(({ at, objects }) => `repaired        ${ago(at)}: ${objects.join("; ")}`),
  ];
}

function membersText({ alive, unreachable, isSettled, epoch, leader }: ClusterSummary): string {
  const reached = isSettled ? "" : ", not yet known whether that is all";
  const word = epoch === undefined ? "no overlay leader has spoken" : `overlay epoch ${epoch}`;
  return `${alive} alive, ${unreachable} unreachable${reached}; ${word}${leader?.leads ? ", this node leads" : ""}`;
}
