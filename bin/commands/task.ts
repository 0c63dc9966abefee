import type { Command } from "commander";
import type { TaskPort } from "../../facts/task.ts";
import { askPages } from "../api/client.ts";
import type { TaskEntry, TaskPage } from "../api/tasks.ts";
import type { App } from "../app.ts";
import { count, show, table } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";

interface Options extends ApiOptions {
  readonly framework?: string;
  readonly name?: string;
  readonly node?: string;
}

/** `dcos-net task`: what runs in the cluster, as this node's agent knows it. */
export function addTask(program: Command, app: App): void {
  const task = program.command("task").description("the tasks of the cluster");
  withApi(task.command("ls"))
    .description("every task with its addresses and ports")
    .option("--framework <framework>", "only those of the framework with this id or name")
    .option("--name <name>", "only those with this name, or discovered by it")
    .option("--node <node>", "only those on the node with this id, name or address")
    .action((options: Options) => list(app, options));
}

async function list(app: App, options: Options): Promise<void> {
  const { framework, name, node } = options;
  const filters = { framework, name, node };
  const tasks = await askPages(apiMeant(app, options), "/v1/tasks", filters, (page: TaskPage) => page.tasks);
  show(app.out, options.json === true, tasks, taskLines);
}

/** A line for each task, and how many there are. */
function taskLines(tasks: readonly TaskEntry[]): string[] {
  const rows = tasks.map(({ id, name, framework, agent, state, health, addresses, mode, ports }) => [
    name,
    framework.name,
    id,
    health === "unknown" ? state : `${state}, ${health}`,
    agent.addresses[0] ?? agent.id,
    mode === "host" ? "(the node's)" : addresses.map(({ address }) => address).join(" ") || "-",
    ports.map(portText).join(" ") || "-",
  ]);
  const header = ["NAME", "FRAMEWORK", "ID", "STATE", "NODE", "ADDRESSES", "PORTS"];
  return [...(rows.length === 0 ? [] : table(header, rows)), count(tasks.length, "task")];
}

/** `8080→80/tcp(http)`: port of the node, port of the container. */
function portText({ host, container, protocol, name }: TaskPort): string {
  const numbers = [host, container].flatMap((port) => port ?? []).join("→");
  return `${numbers}/${protocol}${name === undefined ? "" : `(${name})`}`;
}
