import type { Kernel } from "../../kernel/kernel.ts";
import type { Files } from "../../lib/files.ts";
import type { Config } from "../config.ts";

/** The host that is cleaned up. */
export interface Host {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly files: Files;
}
