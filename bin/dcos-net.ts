import { isPluginName, type PluginName } from "../cni/names.ts";
import { serve } from "../cni/serve.ts";
import { exitNow } from "../kernel/ffi.ts";
import { linuxFiles, readAll, writeAll } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { systemClock } from "../lib/clock.ts";

const loadPlugins = () => require("./plugins.ts") as typeof import("./plugins.ts");

function servePlugin(name: PluginName): never {
  let kernel: Kernel | undefined;
  const load = () => {
    const { answer, pluginFor } = loadPlugins();
    return { plugin: pluginFor(name), answer };
  };
  const status = serve(
    { name, load },
    {
      env: process.env,
      readStdin: (limit) => readAll(0, "standard input", limit),
      writeStdout: (text) => writeAll(1, "standard output", text),
      writeStderr: (text) => writeAll(2, "standard error", text),
      kernel: () => {
        kernel ??= loadPlugins().openLinux();
        return kernel;
      },
      files: linuxFiles,
      clock: systemClock,
    },
  );
  return exitNow(status);
}

/** The one executable under its many names. Called by the name of a CNI plugin, or with CNI_COMMAND set, it is that
 *  plugin and loads nothing else: a container waits for it. Otherwise it is the command line. */
const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
if (isPluginName(name)) servePlugin(name);
if (process.env["CNI_COMMAND"] !== undefined) servePlugin("dcos");

const { main } = await import("./cli.ts");
await main();
