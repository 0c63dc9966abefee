import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLinux } from "../../kernel/linux.ts";
import { batchText } from "./batch-text.ts";
import { hostSpec, serve, timeOf, tool } from "./host.ts";
import { firstSync, overlayBench } from "./overlay.ts";

// One side of the benchmark of peers, in a host of its own (see host.ts).

/** Programs everything, takes the time, and removes it again. */
export type Request = "program";

export interface Reply {
  /** Milliseconds. */
  readonly took: number;
}

export interface Spec {
  readonly side: "ours" | "theirs";
  readonly peers: number;
}

const { side, peers } = hostSpec<Spec>();
const bench = overlayBench(peers);

/** How each side takes what is timed from an empty namespace to the finished overlay. */
const PROGRAM = { ours: programOurs, theirs: programTheirs } as const;

function programOurs(): () => void {
  const kernel = openLinux();
  return () => kernel.apply(firstSync(bench));
}

function programTheirs(): () => void {
  const directory = mkdtempSync(join(tmpdir(), "dcos-net-bench-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  const text = batchText(firstSync(bench));
  writeFileSync(join(directory, "ip"), text.ip);
  writeFileSync(join(directory, "ip6"), text.ip6);
  writeFileSync(join(directory, "bridge"), text.bridge);
  return () => {
    tool(["ip", "-batch", join(directory, "ip")]);
    tool(["ip", "-6", "-batch", join(directory, "ip6")]);
    tool(["bridge", "-batch", join(directory, "bridge")]);
  };
}

/** Removes the links, and with them addresses, routes, neighbours and forwarding entries; and the rules. */
function clear(): void {
  for (const operation of firstSync(bench)) {
    if (operation.do === "link.add") tool(["ip", "link", "delete", operation.link.name]);
    if (operation.do === "rule.add") tool(["ip", `-${operation.rule.family}`, "rule", "delete", "lookup", "42"]);
  }
}

/** What is there, so that a side that did less can't win. */
function countEntries(): Record<string, number> {
  const count = (...command: string[]): number => Bun.spawnSync(command).stdout.toString().split("\n").length - 1;
  return {
    routes4: count("ip", "-4", "route", "show", "table", "all", "proto", "171"),
    routes6: count("ip", "-6", "route", "show", "table", "all", "proto", "171"),
    neighbors: count("ip", "neighbor", "show", "nud", "permanent"),
    forwarding: Bun.spawnSync(["bridge", "fdb", "show"]).stdout.toString().split(" dst ").length - 1,
  };
}

function check(): void {
  const found = JSON.stringify(countEntries());
  const wanted = JSON.stringify({ routes4: 2 * peers, routes6: peers, neighbors: 2 * peers, forwarding: peers });
  if (found !== wanted) throw new Error(`${side} programmed ${found}, wanted ${wanted}`);
}

const program = PROGRAM[side]();
await serve<Request, Reply>(() => {
  const took = timeOf(program);
  check();
  clear();
  return { took };
});
