import { pluginFor } from "../cni/plugins.ts";
import { serve } from "../cni/protocol.ts";
import { exitNow } from "../kernel/ffi.ts";
import { linuxFiles, readAll, writeAll } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { openLinux } from "../kernel/linux.ts";
import { systemClock } from "../lib/clock.ts";

/** The one executable under its many names. Called by the name of a CNI plugin, or with CNI_COMMAND set, it is that
 *  plugin and loads nothing else: a container waits for it. Otherwise it is the command line. */
const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
const plugin = pluginFor(name) ?? (process.env["CNI_COMMAND"] === undefined ? undefined : pluginFor("dcos"));

if (plugin === undefined) {
  const { main } = await import("./cli.ts");
  await main();
} else {
  let kernel: Kernel | undefined;
  const status = serve(plugin, {
    env: process.env,
    readStdin: (limit) => readAll(0, "standard input", limit),
    writeStdout: (text) => writeAll(1, "standard output", text),
    writeStderr: (text) => writeAll(2, "standard error", text),
    kernel: () => {
      kernel ??= openLinux();
      return kernel;
    },
    files: linuxFiles,
    clock: systemClock,
  });
  exitNow(status);
}
