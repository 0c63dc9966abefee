import { resolve } from "node:path";
import { Argument, type Command } from "commander";
import { formatPrefix, type Prefix, parsePrefix } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { App } from "../app.ts";
import { checked, many } from "../checked.ts";
import {
  DEFAULT_PLUGIN_DIR,
  type InstallStep,
  installPlugins,
  OWN_PLUGINS,
  REFERENCE_PLUGINS,
  uninstallPlugins,
} from "../cni-install.ts";
import { CONSUMERS, type Consumer, sampleConfig } from "../cni-samples.ts";
import { nearest } from "../nearest.ts";
import { show } from "../output.ts";
import { executable } from "../self.ts";

const DEFAULT_SUBNET = parsePrefix("10.88.7.0/24");

interface InstallOptions {
  readonly dir: string;
  readonly as?: readonly string[];
  readonly json?: boolean;
}

/** `dcos-net cni`: the plugins where container runtimes look for them. */
export function addCni(program: Command, app: App): void {
  const cni = program.command("cni").description("install the CNI plugins, and sample configurations for them");
  cni
    .command("install")
    .description("put the plugins into a directory, each name in one step")
    .option("--dir <dir>", "where the runtime looks for plugins", DEFAULT_PLUGIN_DIR)
    .option("--as <names>", "also under names of reference plugins: bridge,host-local,portmap", checked(referenceNames))
    .option("--json", "print JSON")
    .addHelpText("after", "\nFiles of the same name are saved and come back with `dcos-net cni uninstall`.")
    .action(({ dir, as = [], json = false }: InstallOptions) => {
      const names = [...OWN_PLUGINS, ...as];
      const steps = installPlugins(app.files, executable(), resolve(dir), names);
      show(app.out, json, steps, stepLines);
    });
  cni
    .command("uninstall")
    .description("undo exactly what `cni install` did")
    .option("--dir <dir>", "the directory", DEFAULT_PLUGIN_DIR)
    .option("--json", "print JSON")
    .action(({ dir, json = false }: InstallOptions) => {
      show(app.out, json, uninstallPlugins(resolve(dir)), stepLines);
    });
  addConfig(cni, app);
}

interface ConfigOptions {
  readonly name: string;
  readonly subnet?: readonly Prefix[];
  readonly json?: boolean;
}

function addConfig(cni: Command, app: App): void {
  cni
    .command("config")
    .description("print a sample network configuration")
    .addArgument(new Argument("<for>", "who is to read it").choices(CONSUMERS))
    .option("--name <name>", "name of the network", checked(networkName), "mynet")
    .option(
      "--subnet <prefix>",
      `addresses of its containers; once or twice, IPv4 and IPv6 (default ${formatPrefix(DEFAULT_SUBNET)})`,
      many(parsePrefix),
    )
    .option("--json", "print JSON with the text and where it goes")
    .action((consumer: Consumer, { name, subnet = [DEFAULT_SUBNET], json = false }: ConfigOptions) => {
      const sample = sampleConfig(consumer, name, subnet);
      // The text alone goes to standard output, so that it can be written to a file as it is.
      if (!json) app.out.note(`for ${sample.path}`);
      show(app.out, json, sample, ({ text }) => [text]);
    });
}

function networkName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return name;
  throw new NetError("invalid", {
    tried: `use ${JSON.stringify(name.slice(0, 80))} as the name of a network`,
    said: "a name is a letter or digit, then letters, digits, _, . and -, at most 63 together",
  });
}

function referenceNames(list: string): string[] {
  const names = list.split(",").map((name) => name.trim());
  for (const name of names) {
    if (REFERENCE_PLUGINS.some((known) => known === name)) continue;
    const meant = nearest(name, REFERENCE_PLUGINS);
    const suggestion = meant === undefined ? "" : `, did you mean "${meant}"?`;
    throw new NetError("invalid", {
      tried: `install as ${JSON.stringify(name.slice(0, 60))}`,
      said: `it can stand in for ${REFERENCE_PLUGINS.join(", ")}${suggestion}`,
    });
  }
  return names;
}

function stepLines(steps: readonly InstallStep[]): string[] {
  return steps.map(({ name, did }) => `${name}: ${did}`);
}
