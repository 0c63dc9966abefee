import { readFileSync } from "node:fs";
import { linuxFiles } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { openLinux } from "../kernel/linux.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { type Config, DEFAULT_CONFIG_FILE, type Origins, readConfig } from "./config.ts";
import type { Output } from "./output.ts";

/** Exit status of the command line, documented in its help. */
export const EXIT = { good: 0, bad: 1, usage: 2 } as const;

/** What every command is handed. */
export interface App {
  readonly out: Output;
  readonly files: Files;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opened at first use. */
  readonly kernel: Kernel;
  /** File named by `--config`; undefined when the default one is meant. */
  configFile: string | undefined;
  /** Exit status when the command ends without throwing. */
  exitCode: number;
  /** The settings, read at first use. Throws a NetError that lists every problem with them. */
  settings(): { readonly config: Config; readonly origins: Origins };
}

export function createApp(out: Output, env: App["env"]): App {
  let kernel: Kernel | undefined;
  let settings: ReturnType<App["settings"]> | undefined;
  return {
    out,
    files: linuxFiles,
    env,
    configFile: undefined,
    exitCode: EXIT.good,
    get kernel() {
      kernel ??= openLinux();
      return kernel;
    },
    settings() {
      settings ??= readSettings(this.configFile, env);
      return settings;
    },
  };
}

function readSettings(named: string | undefined, env: App["env"]): ReturnType<App["settings"]> {
  const file = named ?? DEFAULT_CONFIG_FILE;
  const bytes = linuxFiles.read(file);
  if (bytes === undefined && named !== undefined) {
    throw new NetError("not-found", {
      tried: `read configuration file ${named}`,
      said: "there is no such file",
      remedy: "write it, or name another with --config",
    });
  }
  return readConfig({ text: bytes === undefined ? undefined : new TextDecoder().decode(bytes), file, env });
}

/** What tells this boot of the machine from every other. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
