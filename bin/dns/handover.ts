import type { Alias } from "../../dns/answer.ts";
import { type Endpoint, endpointText, tryParseUpstream } from "../../dns/endpoint.ts";
import type { ForwardZone } from "../../dns/forward/route.ts";
import type { DnsRecord } from "../../dns/record.ts";
import type { Zone } from "../../dns/zone.ts";
import type { Zones } from "../../dns/zones.ts";
import { messageOf } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";
import { isAlive, type ProcessId } from "../process.ts";
import { executable } from "../self.ts";

/** How long an agent that ends waits for the one that stands in for it, milliseconds. */
const READY_MS = 3000;
const LOOK_MS = 5;
/** Records that are written at a time. */
const RECORDS_AT_ONCE = 2000;

/** What a server hands over beside its records. */
export interface Handover {
  readonly zones: readonly Zone[];
  readonly aliases: readonly Alias[];
  readonly listen: readonly Endpoint[];
  readonly forwardZones: readonly ForwardZone[];
  readonly cacheBytes: number;
  readonly workers: number;
}

/** The first line of a handover as JSON can hold it: addresses as text. */
interface HandoverLine extends Omit<Handover, "listen" | "forwardZones"> {
  readonly listen: readonly string[];
  readonly forwardZones: readonly { readonly zone: string; readonly upstreams: readonly string[] }[];
}

/** Where the process that stands in tells of itself. */
export function lingerPath(runDir: string): string {
  return `${runDir}/dns-linger.json`;
}

/** The process that stands in for an agent that has ended; undefined when there is none. */
export function lingering(files: Files, runDir: string): ProcessId | undefined {
  const bytes = files.read(lingerPath(runDir));
  if (bytes === undefined) return undefined;
  const found = JSON.parse(new TextDecoder().decode(bytes)) as ProcessId;
  return isAlive(found) ? found : undefined;
}

/** Ends the process that stands in for an agent, if there is one. */
export function endLingering(files: Files, runDir: string): boolean {
  const found = lingering(files, runDir);
  if (found === undefined) return false;
  try {
    process.kill(found.pid, "SIGTERM");
    return true;
  } catch {
    // It ended by itself in the meantime.
    return false;
  }
}

export interface LingerParts {
  readonly handover: Handover;
  readonly zones: Zones;
  readonly runDir: string;
  readonly files: Files;
  readonly log: Log;
}

/** Starts a process of our own that answers the same from the same addresses, and returns when it does: the caller may
 *  then end without a query going unanswered. A failure is only logged: names are then missing until the next agent
 *  answers. */
export async function startLinger({ handover, zones, runDir, files, log }: LingerParts): Promise<void> {
  try {
    const child = Bun.spawn([executable(), "dns", "linger", "--run-dir", runDir], {
      cwd: "/",
      // Nothing of the agent's own settings is meant for it: it is handed everything.
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      stdio: ["pipe", "inherit", "inherit"],
      detached: true,
    });
    child.unref();
    const { stdin } = child;
    await writeHandover(handover, zones, async (part) => {
      stdin.write(part);
      await stdin.flush();
    });
    await stdin.end();
    const deadline = performance.now() + READY_MS;
    while (lingering(files, runDir)?.pid !== child.pid) {
      if (child.exitCode !== null) throw new Error(`it ended with status ${child.exitCode}`);
      if (performance.now() > deadline) throw new Error(`it didn't begin within ${READY_MS} ms`);
      await Bun.sleep(LOOK_MS);
    }
    log.info("names are answered until the next agent does", { pid: child.pid });
  } catch (error) {
    log.warn("nobody answers names until the next agent does", { problem: messageOf(error) });
  }
}

/** Writes a handover in lines of JSON, a part at a time. */
export async function writeHandover(
  handover: Handover,
  zones: Zones,
  write: (part: string) => Promise<void>,
): Promise<void> {
  let lines = [`${JSON.stringify(lineOf(handover))}\n`];
  for (const { data } of zones) {
    for (const { name, ttl, data: content } of data.sets.flatMap(({ records }) => records)) {
      lines.push(`${JSON.stringify({ name, ttl, data: content })}\n`);
    }
    if (lines.length < RECORDS_AT_ONCE) continue;
    await write(lines.join(""));
    lines = [];
  }
  await write(lines.join(""));
}

function lineOf({ listen, forwardZones, ...rest }: Handover): HandoverLine {
  return {
    ...rest,
    listen: listen.map(endpointText),
    forwardZones: forwardZones.map(({ zone, upstreams }) => ({ zone, upstreams: upstreams.map(endpointText) })),
  };
}

/** Reads what {@link writeHandover} writes. Throws when it isn't that. */
export async function readHandover(
  stream: AsyncIterable<Uint8Array>,
): Promise<{ readonly handover: Handover; readonly records: readonly DnsRecord[] }> {
  const records: DnsRecord[] = [];
  let handover: Handover | undefined;
  for await (const line of linesOf(stream)) {
    if (handover === undefined) handover = handoverOf(JSON.parse(line) as HandoverLine);
    else records.push(JSON.parse(line) as DnsRecord);
  }
  if (handover === undefined) throw new Error("nothing was handed over");
  return { handover, records };
}

function handoverOf({ listen, forwardZones, ...rest }: HandoverLine): Handover {
  const endpoints = (texts: readonly string[]) => texts.flatMap((text) => tryParseUpstream(text) ?? []);
  return {
    ...rest,
    listen: endpoints(listen),
    forwardZones: forwardZones.map(({ zone, upstreams }) => ({ zone, upstreams: endpoints(upstreams) })),
  };
}

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
