export type Level = "debug" | "info" | "warn" | "error";

/** Values a log line may carry. No secrets: callers pass names, addresses, counts, durations. */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}

const RANK: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A log that writes one JSON object a line: `time` (RFC 3339, UTC), `level`, `component`, `event`, then the fields.
 *  `write` gets the line with its newline. */
export function jsonLog(component: string, least: Level, now: () => Date, write: (line: string) => void): Log {
  const at =
    (level: Level) =>
    (event: string, fields: Fields = {}) => {
      if (RANK[level] < RANK[least]) return;
      write(`${JSON.stringify({ time: now().toISOString(), level, component, event, ...fields })}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
