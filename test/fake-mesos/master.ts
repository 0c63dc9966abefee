import type { Json } from "./json.ts";
import { MasterState } from "./state.ts";
import { OpenStream } from "./stream.ts";

/** How a master answers: as the leader, as one that knows another leader, before it knows any, or as a leader that
 *  still reads its registry. */
export type Role = "leading" | "electing" | "recovering" | { readonly follows: string };

export interface MasterOptions {
  readonly role?: Role;
  readonly state?: MasterState;
  /** Milliseconds between heartbeats; SUBSCRIBED tells it in seconds. 15 s when absent. */
  readonly heartbeatMs?: number;
  /** Refuses calls without this Authorization header. */
  readonly authorization?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A Mesos master on loopback, as far as the v1 operator API goes. */
export class FakeMaster {
  role: Role;
  state: MasterState;
  /** False: subscribers hear nothing more, and the connection stays. */
  beating = true;
  /** SUBSCRIBE calls that got a stream. */
  subscriptions = 0;
  readonly #options: MasterOptions;
  readonly #server: Bun.Server<undefined>;
  readonly #streams = new Set<OpenStream>();
  readonly #heart: ReturnType<typeof setInterval>;

  constructor(options: MasterOptions = {}) {
    this.#options = options;
    this.role = options.role ?? "leading";
    this.state = options.state ?? new MasterState();
    const { tls } = options;
    const fetch = (request: Request) => this.#answer(request);
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch, ...(tls && { tls }) });
    this.#heart = setInterval(() => this.beating && this.emit([{ type: "HEARTBEAT" }]), this.#heartbeatMs);
  }

  /** Base URL. */
  get url(): string {
    return this.#server.url.origin;
  }

  get port(): number {
    return this.#server.port ?? 0;
  }

  /** Subscribers at this moment. */
  get subscribers(): number {
    return this.#streams.size;
  }

  /** Sends events to all subscribers. */
  emit(events: readonly Json[]): void {
    for (const stream of this.#streams) for (const event of events) stream.record(event);
  }

  /** Sends bytes as they are. */
  emitRaw(bytes: Uint8Array): void {
    for (const stream of this.#streams) stream.bytes(bytes);
  }

  /** Ends all streams in order (a clean end of the body). */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
  }

  /** Dies: connections are cut and the port is closed. */
  async stop(): Promise<void> {
    clearInterval(this.#heart);
    this.endStreams();
    await this.#server.stop(true);
  }

  get #heartbeatMs(): number {
    return this.#options.heartbeatMs ?? 15_000;
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/redirect") return this.#redirect("");
    if (pathname === "/health") return new Response(null, { status: 200, headers: { "content-length": "0" } });
    if (pathname !== "/api/v1" && pathname !== "/master/api/v1") return new Response("", { status: 404 });
    if (request.method !== "POST") return refusal(405, `Expecting 'POST', received '${request.method}'`);
    const { authorization } = this.#options;
    if (authorization !== undefined && request.headers.get("authorization") !== authorization) return refusal(401, "");
    if (this.role === "electing") return refusal(503, "No leader elected");
    if (typeof this.role === "object") return this.#redirect("/master/api/v1");
    const accept = request.headers.get("accept") ?? "*/*";
    if (!/application\/json|\*\/\*/.test(accept)) return refusal(406, "Expecting 'Accept' to allow application/json");
    return this.#call(String(((await request.json()) as Json)["type"]));
  }

  #call(type: string): Response {
    const json = (body: Json) =>
      new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
    if (type === "GET_STATE") return json({ type, get_state: this.state.getState() });
    if (type === "GET_HEALTH") return json({ type, get_health: { healthy: true } });
    if (type !== "SUBSCRIBE") return refusal(501, "");
    return this.role === "recovering" ? refusal(503, "Master has not finished recovery") : this.#subscribe();
  }

  #subscribe(): Response {
    this.subscriptions += 1;
    const stream = new OpenStream(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    const subscribed = { get_state: this.state.getState(), heartbeat_interval_seconds: this.#heartbeatMs / 1000 };
    stream.record({ type: "SUBSCRIBED", subscribed });
    stream.record({ type: "HEARTBEAT" });
    return new Response(stream.body, { headers: { "content-type": "application/json" } });
  }

  /** Mesos names the leader without scheme; a leader names itself. */
  #redirect(path: string): Response {
    if (this.role === "electing") return refusal(503, "No leader elected");
    const leader = new URL(typeof this.role === "object" ? this.role.follows : this.url).host;
    return new Response(null, { status: 307, headers: { location: `//${leader}${path}`, "content-length": "0" } });
  }
}

function refusal(status: number, text: string): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}
