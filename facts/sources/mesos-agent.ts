import { messageOf, NetError } from "../../lib/error.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";
import { listOf, memberOf } from "../task-mesos-json.ts";
import { type MesosAgentEntry, MesosCluster, readAgent, readFramework, readTasks } from "./mesos-cluster.ts";
import { Hostnames, type Resolve } from "./mesos-hostname.ts";
import { type Caller, callMesos, readBody, refusalOf } from "./mesos-http.ts";
import { Problems } from "./mesos-problems.ts";
import { isEmptyDelta, type Source, type SourceSink, type SourceVoice } from "./source.ts";

export interface MesosAgentOptions {
  readonly caller: Caller;
  /** Base URL of the agent on this node: `http://10.0.0.5:5051`. */
  readonly base: string;
  /** This node's own address, which counts when the agent's host name can't be resolved. */
  readonly nodeAddress?: string;
  readonly resolve: Resolve;
  /** 0 ≤ number < 1, as Math.random. */
  readonly random: () => number;
  readonly limits?: Partial<AgentLimits>;
}

export interface AgentLimits {
  /** Time between polls, milliseconds; each is a tenth shorter or longer at random. */
  readonly pollMs: number;
  /** Longest wait between attempts while the agent fails, milliseconds. */
  readonly longestRetryMs: number;
  /** Time to an answer's headers, milliseconds. */
  readonly answerMs: number;
  /** Time of a whole call, milliseconds. */
  readonly callMs: number;
  /** Bytes of an answer. */
  readonly bodyBytes: number;
}

/** The polling of dcos-net: every 2 s, up to 60 s apart while it fails. */
export const DEFAULT_AGENT_LIMITS: AgentLimits = {
  pollMs: 2_000,
  longestRetryMs: 60_000,
  answerMs: 5_000,
  callMs: 30_000,
  bodyBytes: 64 * 1024 * 1024,
};

/** Tasks of one node by its own Mesos agent. */
export class MesosAgentSource implements Source {
  readonly name = "mesos-agent";
  readonly #options: MesosAgentOptions;
  readonly #limits: AgentLimits;
  readonly #cluster: MesosCluster;
  readonly #hostnames: Hostnames;
  #sink: SourceSink | undefined;
  readonly #problems = new Problems((error) => this.#sink?.problem(error));
  readonly #stopping = new AbortController();
  #loop: Loop | undefined;
  #agentId: string | undefined;
  /** Hash of the last answers: nothing is read twice. */
  #seen: string | undefined;
  #told = false;

  constructor(options: MesosAgentOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_AGENT_LIMITS, ...options.limits };
    this.#hostnames = new Hostnames({
      resolve: options.resolve,
      clock: options.caller.clock,
      onChange: (hostname) => {
        this.#cluster.hostnameChanged(hostname);
        this.#publish();
      },
      onProblem: (hostname, error) => this.#problems.set(`host ${hostname}`, error),
    });
    this.#cluster = new MesosCluster({
      observer: "node",
      lookup: (hostname) => this.#hostnames.lookup(hostname),
      onProblem: (key, error) => this.#problems.set(`task ${key}`, error),
    });
  }

  /** Id of the agent whose tasks were told completely; undefined before the first answer of a registered agent. */
  get agentId(): string | undefined {
    return this.#agentId;
  }

  voice(): SourceVoice {
    return { agents: this.#told && this.#agentId !== undefined ? [this.#agentId] : [] };
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    const { pollMs, longestRetryMs } = this.#limits;
    const { caller, random } = this.#options;
    this.#loop = startLoop({
      run: () => this.#poll(),
      clock: caller.clock,
      random,
      leastGapMs: 0,
      // Read at the end of each pass, so that the polls of many nodes don't fall into step.
      get longestGapMs() {
        return pollMs * (0.9 + random() / 5);
      },
      firstRetryMs: pollMs,
      longestRetryMs,
      onFailure: (error) => this.#problems.report("poll", netErrorOf(error)),
    });
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    this.#stopping.abort(new Error("stopped"));
    this.#hostnames.stop();
    await this.#loop?.stop();
  }

  async #poll(): Promise<void> {
    const state = await this.#call("GET_STATE");
    const agent = await this.#call("GET_AGENT");
    this.#problems.clear("poll");
    const seen = `${Bun.hash(state)} ${Bun.hash(agent)}`;
    if (seen === this.#seen) return;
    const entry = this.#entryOf(parse(agent, "GET_AGENT"));
    if (entry !== undefined) this.#take(entry, memberOf(parse(state, "GET_STATE"), "get_state"));
    this.#seen = seen;
  }

  #entryOf(answer: unknown): MesosAgentEntry | undefined {
    const entry = readAgent(memberOf(answer, "get_agent", "agent_info"), undefined);
    const { nodeAddress } = this.#options;
    return entry === undefined || nodeAddress === undefined ? entry : { ...entry, pidAddress: nodeAddress };
  }

  #take(agent: MesosAgentEntry, getState: unknown): void {
    if (this.#agentId !== undefined && this.#agentId !== agent.id) this.#cluster.removeAgent(this.#agentId);
    this.#cluster.putAgent(agent);
    const frameworks = new Set<string>();
    for (const item of listOf(memberOf(getState, "get_frameworks", "frameworks"))) {
      const framework = readFramework(memberOf(item, "framework_info"));
      if (framework === undefined) continue;
      this.#cluster.putFramework(framework);
      frameworks.add(framework.id);
    }
    const keys = new Set(readTasks(getState).map((task) => this.#cluster.putTask(task)));
    for (const key of this.#cluster.keys()) if (!keys.has(key)) this.#cluster.removeTask(key);
    this.#cluster.retain(new Set([agent.id]), frameworks);
    this.#hostnames.retain(new Set([agent.hostname]));
    this.#agentId = agent.id;
    this.#publish();
  }

  /** The first set waits for the agent's address: a set without its tasks would say that they are gone. */
  #publish(): void {
    if (this.#sink === undefined) return;
    const delta = this.#cluster.publish();
    if (this.#told) {
      if (!isEmptyDelta(delta)) this.#sink.change(delta);
    } else if (this.#cluster.allResolved()) {
      this.#told = true;
      this.#sink.replace(this.#cluster.published());
    }
  }

  async #call(type: string): Promise<Uint8Array> {
    const { caller, base } = this.#options;
    const { answerMs, callMs, bodyBytes } = this.#limits;
    const url = `${base.replace(/\/+$/, "")}/api/v1`;
    const late = new AbortController();
    const cancel = caller.clock.schedule(callMs, () => late.abort(new Error(`not done within ${callMs} ms`)));
    const signal = AbortSignal.any([this.#stopping.signal, late.signal]);
    try {
      const answer = await callMesos(caller, { url, type, timeoutMs: answerMs, signal });
      if (answer.status !== 200) throw await refusalOf(answer, url);
      return await readBody(answer, url, bodyBytes);
    } catch (error) {
      if (error instanceof NetError) throw error;
      const said = messageOf(late.signal.aborted ? late.signal.reason : error);
      throw new NetError("unavailable", { tried: `read the ${type} of ${url}`, said, cause: error });
    } finally {
      cancel();
    }
  }
}

function parse(body: Uint8Array, type: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    const tried = `read the Mesos agent's answer to ${type}`;
    throw new NetError("invalid", { tried, said: messageOf(error), cause: error });
  }
}

function netErrorOf(error: unknown): NetError {
  if (error instanceof NetError) return error;
  return new NetError("internal", { tried: "poll the Mesos agent", said: messageOf(error), cause: error });
}
