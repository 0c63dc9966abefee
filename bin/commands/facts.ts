import { type Command, Option } from "commander";
import type { Fact, FactKind } from "../../facts/fact.ts";
import { askPages } from "../api/client.ts";
import { FACT_KINDS, type FactPage } from "../api/facts.ts";
import type { App } from "../app.ts";
import { age, count, show, table } from "../output.ts";
import { type ApiOptions, apiMeant, withApi } from "./api-option.ts";

interface Options extends ApiOptions {
  readonly kind?: FactKind;
  readonly owner?: string;
}

/** `dcos-net facts`: what the nodes have told each other, who said it and when. */
export function addFacts(program: Command, app: App): void {
  withApi(program.command("facts"))
    .description("what the nodes tell each other: each fact with its owner and age")
    .addOption(new Option("--kind <kind>", "only facts of this kind").choices(FACT_KINDS))
    .option("--owner <id>", "only what the node with this id says")
    .action((options: Options) => list(app, options));
}

async function list(app: App, options: Options): Promise<void> {
  const { kind, owner } = options;
  const facts = await askPages(apiMeant(app, options), "/v1/facts", { kind, owner }, (page: FactPage) => page.facts);
  show(app.out, options.json === true, facts, (shown) => factLines(shown, Date.now()));
}

/** A line for each fact, and how many there are. `now` in milliseconds since 1970. */
export function factLines(facts: readonly Fact[], now: number): string[] {
  const rows = facts.map(({ kind, key, owner, version, observedAt }) => [
    kind,
    key,
    owner,
    String(version),
    age(now - observedAt),
  ]);
  const header = ["KIND", "KEY", "OWNER", "VERSION", "AGE"];
  return [...(rows.length === 0 ? [] : table(header, rows, [3])), count(facts.length, "fact")];
}
