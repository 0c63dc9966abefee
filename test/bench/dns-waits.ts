import { join } from "node:path";

/** Asks so many questions a second for so many seconds, and gives what each asker waited, milliseconds, shortest first.
 *  The client writes to a file of the directory, since a reader would share the processors with the server. */
export async function waitsOf(
  directory: string,
  queries: string,
  port: number,
  rate: number,
  seconds: number,
): Promise<Float64Array> {
  const path = join(directory, "waits");
  const target = ["-s", "127.0.0.1", "-p", String(port), "-d", queries];
  const load = ["-l", String(seconds), "-Q", String(rate), "-c", "4", "-T", "1"];
  const client = Bun.spawn(["dnsperf", ...target, ...load, "-v"], { stdio: ["ignore", Bun.file(path), "ignore"] });
  await client.exited;
  const report = await Bun.file(path).text();
  // Bun writes over an older file without emptying it.
  await Bun.file(path).delete();
  const waits = Array.from(report.matchAll(/^> NOERROR .* ([\d.]+)$/gm), ([, waited]) => Number(waited) * 1000);
  if (waits.length < (rate * seconds) / 5) throw new Error(`dnsperf measured too little: ${report.slice(-1000)}`);
  return Float64Array.from(waits).sort();
}

/** What such a part of the askers waited at most. */
export function waitOf(waits: Float64Array, part: number): number {
  return waits[Math.floor(waits.length * part)] ?? Number.NaN;
}
