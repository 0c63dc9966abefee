import { jsonLog, type Log } from "../../lib/log.ts";
import type { App } from "../app.ts";

/** A log on standard output at the configured level. */
export function daemonLog(app: App, component: string): Log {
  const { log_level } = app.settings().config;
  return jsonLog(
    component,
    log_level,
    () => new Date(),
    (line) => void process.stdout.write(line),
  );
}

/** Resolves when somebody asks the process to end. */
export function endSignal(): Promise<void> {
  return new Promise((end) => {
    process.once("SIGTERM", () => end());
    process.once("SIGINT", () => end());
  });
}
