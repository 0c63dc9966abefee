import type { Command } from "commander";
import { NetError } from "../../lib/error.ts";
import type { App } from "../app.ts";
import { hint, isKey, KEYS, type Key, SCHEMA, variableOf } from "../config.ts";
import { show, table } from "../output.ts";

/** `dcos-net config`: what is set, where it comes from, what a key means. */
export function addConfig(program: Command, app: App): void {
  const config = program.command("config").description("settings: what is in force, and what each key means");
  config
    .command("show")
    .description("every setting with its value and where that comes from")
    .option("--json", "print JSON")
    .action(({ json = false }: { json?: boolean }) => {
      const { config: values, origins } = app.settings();
      const settings = KEYS.map((key) => ({
        key,
        value: withoutPassword(values[key]),
        unit: SCHEMA[key].unit,
        origin: origins[key],
      }));
      show(app.out, json, settings, (rows) =>
        table(
          ["KEY", "VALUE", "FROM"],
          rows.map(({ key, value, unit, origin }) => [key, valueText(value, unit), origin]),
        ),
      );
    });
  config
    .command("explain")
    .description("type, unit, default and meaning of one key")
    .argument("<key>", "a key that `config show` lists")
    .option("--json", "print JSON")
    .action((key: string, { json = false }: { json?: boolean }) => {
      if (!isKey(key)) {
        throw new NetError("not-found", {
          tried: `explain ${JSON.stringify(key)}`,
          said: `there is no such key${hint(key)}`,
          remedy: "`dcos-net config show` lists them",
        });
      }
      show(app.out, json, explanation(key), ({ doc, type, unit, fallback, variable }) => [
        `${key}: ${doc}`,
        `  type         ${type}${unit === undefined ? "" : `, in ${unit}`}`,
        `  default      ${valueText(fallback, unit)}`,
        `  environment  ${variable}`,
      ]);
    });
}

/** What is printed may end up in a ticket: `zk://user:…@host` keeps its user and loses its password. */
function withoutPassword(value: string | number): string | number {
  return typeof value === "string" ? value.replace(/(:\/\/[^:@/]*:)[^@/]*@/g, "$1***@") : value;
}

function explanation(key: Key) {
  const { doc, type, unit, fallback } = SCHEMA[key];
  return { key, doc, type, unit, fallback, variable: variableOf(key) };
}

function valueText(value: string | number, unit: string | undefined): string {
  if (value === "") return "(empty)";
  return unit === undefined ? String(value) : `${value} ${unit}`;
}
