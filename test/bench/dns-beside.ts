import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask } from "./dns-tools.ts";
import { type Measurement, summarise } from "./measurement.ts";
import { paired } from "./paired.ts";

/** Has a directory of its own for as long as the work lasts, and ends the servers that it keeps. */
export async function withServers<T>(
  work: (directory: string, keep: <S extends Bun.Subprocess>(server: S) => S) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-dns-"));
  const servers: Bun.Subprocess[] = [];
  try {
    return await work(directory, (server) => {
      servers.push(server);
      return server;
    });
  } finally {
    for (const server of servers) {
      // Nothing of theirs is kept, and some take seconds to tidy up a million names.
      server.kill("SIGKILL");
      await server.exited;
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A server that is asked: its port of 127.0.0.1 and its process. */
export interface Asked {
  readonly port: number;
  readonly pid: number;
}

/** Asks ours and the reference in turn. Two figures: time for 1000 queries as the client sees it, which includes its
 *  own, and time of the processor that the server took for them. */
export async function measureBeside(
  runs: number,
  queries: string,
  ours: Asked,
  theirs: Asked & { readonly reference: string },
  what: string,
): Promise<Measurement[]> {
  const taken = await paired(
    runs,
    () => ask(queries, ours.port, ours.pid),
    () => ask(queries, theirs.port, theirs.pid),
  );
  return (["elapsed", "processor"] as const).map((figure) => ({
    name: figure === "elapsed" ? `dns: 1000 ${what}` : `dns: processor of 1000 ${what}`,
    reference: theirs.reference,
    ours: summarise(taken.ours.map((run) => run[figure])),
    theirs: summarise(taken.theirs.map((run) => run[figure])),
    budget: { ratio: 0.83 },
  }));
}

/** Which of these programs are missing, as a reason why a benchmark can't run; undefined when none is. */
export function missingOf(...programs: readonly string[]): string | undefined {
  const missing = programs.filter((program) => Bun.which(program) === null);
  return missing.length === 0 ? undefined : `${missing.join(" and ")} missing`;
}
