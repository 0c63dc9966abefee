import { attachment, invoke } from "./peer-cni.ts";
import { Machine } from "./peer-machine.ts";
import { type Flat, stateOf } from "./peer-state.ts";

/** Where every scenario's networks keep their leases. */
export const DATA = "/run/test/leases";
/** Containers of a scenario: each has a network namespace of its name. */
export const CONTAINERS = ["box1", "box2"] as const;
/** A hardware address that scenarios ask for. */
export const MAC = "c2:11:22:33:44:55";

/** One call of a scenario. */
export interface Step {
  readonly plugin: string;
  readonly verb: string;
  readonly config: object | string;
  readonly container?: string;
  readonly ifname?: string;
  /** Variables to change; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Adds as prevResult what the last successful ADD for the container answered. */
  readonly previous?: boolean;
}

/** A sequence of calls on a fresh node. */
export interface Scenario {
  readonly name: string;
  /** Shell commands that prepare the node. */
  readonly before?: string;
  readonly steps: readonly Step[];
}

/** What can be seen after one call, by path. */
export type Observation = Flat;

/** Plays a scenario on a node of its own with the plugins of `plugins`; gives what was seen after each call. */
export async function play({ before = "", steps }: Scenario, plugins: string): Promise<Observation[]> {
  const machine = await Machine.start(plugins);
  try {
    await machine.script(`for c in ${CONTAINERS.join(" ")}; do ip netns add $c; done\n${before}`);
    const answers = new Map<string, unknown>();
    const seen: Observation[] = [];
    for (const step of steps) seen.push(await take(machine, step, answers));
    return seen;
  } finally {
    await machine.stop();
  }
}

async function take(machine: Machine, step: Step, answers: Map<string, unknown>): Promise<Observation> {
  const { plugin, verb, config, container = CONTAINERS[0], ifname = "eth0", env = {}, previous = false } = step;
  const prevResult = previous ? answers.get(container) : undefined;
  const stdin = typeof config === "string" || prevResult === undefined ? config : { ...config, prevResult };
  const { code, stdout } = await invoke(machine, {
    plugin,
    env: { ...attachment(verb, container, ifname), ...env },
    stdin,
  });
  const answer = parse(stdout);
  if (verb === "ADD" && code === 0) answers.set(container, answer);
  const flat = new Map(await stateOf(machine, CONTAINERS, DATA, [MAC]));
  flat.set("exit", String(code));
  for (const [path, value] of code === 0 ? flatten("result", normal(answer)) : describeError(answer))
    flat.set(path, value);
  return flat;
}

function parse(stdout: string): unknown {
  if (stdout.trim() === "") return undefined;
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}

/** The number of an error and whether it has a text; the words are each implementation's own. */
function describeError(answer: unknown): [string, string][] {
  const { code, msg }: { code?: unknown; msg?: unknown } = typeof answer === "object" && answer !== null ? answer : {};
  return [
    ["error code", String(code)],
    ["error text", typeof msg === "string" && msg !== "" ? "given" : "missing"],
  ];
}

/** A result without what is random in it, and without an empty `dns`, which some versions print and some leave out. */
function normal(answer: unknown): unknown {
  const text = JSON.stringify(answer, (key, value) => {
    if (key === "mac" && value !== MAC && value !== "00:00:00:00:00:00") return "random";
    if (key === "dns" && Object.keys(value ?? {}).length === 0) return undefined;
    if (key === "name" && typeof value === "string" && /^v/.test(value)) return "veth*";
    return value;
  });
  return text === undefined ? undefined : JSON.parse(text);
}

function flatten(path: string, value: unknown): [string, string][] {
  if (typeof value !== "object" || value === null) return value === undefined ? [] : [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, child]) => flatten(`${path}.${key}`, child));
}
