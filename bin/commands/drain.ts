import type { Command } from "commander";
import { type TaskRef, taskKey } from "../../facts/task.ts";
import { NetError } from "../../lib/error.ts";
import { askApi, askPages } from "../api/client.ts";
import type { DrainEntry } from "../api/drains.ts";
import type { NodeEntry } from "../api/nodes.ts";
import type { TaskEntry, TaskPage } from "../api/tasks.ts";
import type { App } from "../app.ts";
import { age, show, table } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";
import { idOf } from "./node.ts";

interface Options extends ApiOptions {
  readonly off?: boolean;
}

/** `dcos-net drain`: no new connections to a node's tasks, or to one task, through virtual IPs. */
export function addDrain(program: Command, app: App): void {
  const drain = program
    .command("drain")
    .description("send no new connections to a node or task through virtual IPs")
    .addHelpText(
      "after",
      `
Connections that stand go on until they end, at most as long as the setting l4lb_drain_ms says; datagrams go elsewhere
at once. A drain holds, also while agents restart, until it is called off with --off on the node where it was asked
for.`,
    );
  const command = (name: string, argument: string) =>
    withApi(drain.command(`${name} <${argument}>`)).option("--off", "call it off");
  command("node", "node")
    .description("drain all tasks of a node, given by id or name")
    .action((node: string, options: Options) => drainNode(app, node, options));
  command("task", "task")
    .description("drain one task, given by id")
    .action((task: string, options: Options) => drainTask(app, task, options));
  withApi(drain.command("ls"))
    .description("what is drained, since when, and where it was asked for")
    .action((options: ApiOptions) => list(app, options));
}

async function drainNode(app: App, meant: string, options: Options): Promise<void> {
  const nodes = (await askApi(apiMeant(app, options), "/v1/nodes")) as readonly NodeEntry[];
  await change(app, { target: "node", id: idOf(meant, nodes), drain: options.off !== true }, options);
}

async function drainTask(app: App, meant: string, options: Options): Promise<void> {
  const tasks = await askPages(apiMeant(app, options), "/v1/tasks", {}, (page: TaskPage) => page.tasks);
  await change(app, { target: "task", id: taskKey(taskMeant(meant, tasks)), drain: options.off !== true }, options);
}

async function change(
  app: App,
  body: { readonly target: string; readonly id: string; readonly drain: boolean },
  options: Options,
): Promise<void> {
  const entry = (await askApi(apiMeant(app, options), "/v1/drains", body)) as DrainEntry;
  show(app.out, options.json === true, entry, ({ target, id }) => [
    body.drain ? `${target} ${id} is drained` : `${target} ${id} is not drained any more`,
  ]);
}

async function list(app: App, options: ApiOptions): Promise<void> {
  const drains = (await askApi(apiMeant(app, options), "/v1/drains")) as readonly DrainEntry[];
  show(app.out, options.json === true, drains, (shown) => {
    const rows = shown.map(({ target, id, since, owner }) => [target, id, age(Date.now() - Date.parse(since)), owner]);
    return rows.length === 0 ? ["nothing is drained"] : table(["DRAINED", "ID", "AGE", "ASKED FOR ON"], rows);
  });
}

/** The task with this id. Throws a NetError `not-found` when there is none, or when several frameworks have one. */
function taskMeant(meant: string, tasks: readonly TaskEntry[]): TaskRef {
  const found = tasks.filter(
    ({ id, framework }) => id === meant || taskKey({ frameworkId: framework.id, taskId: id }) === meant,
  );
  const [only] = found;
  if (only !== undefined && found.length === 1) return { frameworkId: only.framework.id, taskId: only.id };
  throw new NetError("not-found", {
    tried: `find task ${JSON.stringify(meant.slice(0, 100))}`,
    said: only === undefined ? "no task has this id" : `${found.length} frameworks have a task with this id`,
    remedy: "`dcos-net task ls --json` shows ids; <framework id>/<task id> tells them apart",
  });
}
