import { type AgentSpec, agentInfo, type FrameworkSpec, frameworkOf, type Json } from "./json.ts";

/** A Mesos agent on loopback, as far as GET_STATE and GET_AGENT go. */
export class FakeAgent {
  /** undefined: not registered yet, so that GET_AGENT knows no id. */
  agent: AgentSpec | undefined;
  frameworks: readonly FrameworkSpec[] = [];
  launched: readonly Json[] = [];
  /** Answers with this instead. */
  failure: { readonly status: number; readonly body: string } | undefined;
  /** Bytes that are sent before each answer's JSON (white space, which JSON allows). */
  padding = 0;
  /** Calls so far, by type. */
  readonly calls: Record<string, number> = {};
  readonly #server: Bun.Server<undefined>;

  constructor(agent: AgentSpec | undefined) {
    this.agent = agent;
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => this.#answer(request) });
  }

  get url(): string {
    return this.#server.url.origin;
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    if (this.failure !== undefined) return new Response(this.failure.body, { status: this.failure.status });
    const type = String(((await request.json()) as Json)["type"]);
    this.calls[type] = (this.calls[type] ?? 0) + 1;
    const body = JSON.stringify(type === "GET_AGENT" ? this.getAgent() : this.getState());
    return new Response(" ".repeat(this.padding) + body, { headers: { "content-type": "application/json" } });
  }

  getAgent(): Json {
    const info = agentInfo(this.agent ?? { id: "", hostname: "" });
    if (this.agent === undefined) delete info["id"];
    return { type: "GET_AGENT", get_agent: { agent_info: info } };
  }

  getState(): Json {
    return {
      type: "GET_STATE",
      get_state: {
        get_tasks: {
          pending_tasks: [],
          queued_tasks: [],
          launched_tasks: this.launched,
          terminated_tasks: [],
          completed_tasks: [],
        },
        get_executors: { executors: [], completed_executors: [] },
        get_frameworks: {
          frameworks: this.frameworks.map((spec) => ({ framework_info: frameworkOf(spec)["framework_info"] })),
          completed_frameworks: [],
        },
      },
    };
  }
}
