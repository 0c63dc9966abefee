import { NetError } from "../../lib/error.ts";
import { VERSION } from "../version.ts";
import { type DnsState, hostEntries, queryBody, serviceEntries, zonesBody } from "./dns.ts";
import { changeDrain, drainEntries } from "./drains.ts";
import { factPage } from "./facts.ts";
import { healthBody } from "./health.ts";
import { METRICS_TYPE, type MetricsPage } from "./metrics.ts";
import { nodeEntries } from "./nodes.ts";
import { deleteAgents, forgetNodes, overlayAgentOverlay, overlayMasterState } from "./overlay.ts";
import { readQuery } from "./query.ts";
import { recordStream } from "./record-stream.ts";
import type { ApiState, NamesState } from "./state.ts";
import { taskPage } from "./tasks.ts";
import { vipTraceBody } from "./vip-trace.ts";
import { vipEntries } from "./vips.ts";

export const JSON_TYPE = "application/json; charset=utf-8";

/** What a route is asked. */
export interface Question {
  /** What stands in the path where the route has `{name}`, decoded; empty where it has nothing. */
  readonly name: string;
  readonly query: URLSearchParams;
  /** The parsed JSON of a POST; undefined otherwise. */
  readonly body: unknown;
}

export interface Answer {
  readonly status: number;
  /** An object or list is sent as JSON, text and streams as they are. */
  readonly body: object | string | ReadableStream<Uint8Array>;
  /** Of a text or stream. */
  readonly contentType?: string;
  /** Besides those that every answer has. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: "GET" | "POST";
  /** With `{name}` at its end it is the route of every path that goes on from there with one segment. */
  readonly path: string;
  /** Throws, or rejects with, a NetError when the question can't be answered. */
  readonly answer: (question: Question) => Answer | Promise<Answer>;
}

/** Everything that the API of a node that gossips answers. */
export function routes(state: ApiState, metrics: MetricsPage): readonly Route[] {
  const all: Route[] = [
    get(
      "/overlay-master/state",
      plain(() => overlayMasterState(state)),
    ),
    get(
      "/overlay-agent/overlay",
      plain(() => overlayAgentOverlay(state)),
    ),
    post("/overlay-master/agents/delete", (body) => deleteAgents(state, body)),
    get("/v1/nodes", ({ query }) => {
      // DC/OS takes `force` for asking the nodes again; here they tell of changes by themselves.
      readQuery(query, ["force"]);
      return good(nodeEntries(state));
    }),
    post("/v1/nodes/forget", (body) => forgetNodes(state, body)),
    get("/v1/vips", ({ query }) => {
      const body = JSON.stringify(vipEntries(state.vips(), state.now(), query));
      const etag = new Bun.CryptoHasher("sha1").update(body).digest("base64");
      return { status: 200, body, contentType: JSON_TYPE, headers: { ETag: etag } };
    }),
    get("/v1/vips/trace", ({ query }) => good(vipTraceBody(state, query))),
    get(
      "/v1/drains",
      plain(() => drainEntries(state)),
    ),
    post("/v1/drains", (body) => changeDrain(state, body)),
    get("/v1/tasks", ({ query }) => good(taskPage(state, query))),
    get("/v1/facts", ({ query }) => good(factPage(state, query))),
    ...nameRoutes(state),
    get("/health", ({ query }) => {
      readQuery(query, []);
      const body = healthBody(state);
      return { status: body.healthy ? 200 : 503, body };
    }),
    get("/metrics", ({ query }) => {
      readQuery(query, []);
      return { status: 200, body: metrics.render(), contentType: METRICS_TYPE };
    }),
  ];
  return withList(all);
}

/** What the API of a static cluster answers: its agents have names, no virtual IPs, and nothing of the others. */
export function staticRoutes(state: NamesState): readonly Route[] {
  const vips = plain(() => []);
  return withList([get("/v1/vips", vips), ...nameRoutes(state)]);
}

/** Names, and who tells them. */
function nameRoutes(state: NamesState): Route[] {
  return [
    get(
      "/v1/version",
      plain(() => ({ Service: "dcos-net", Version: VERSION })),
    ),
    get("/v1/hosts/{name}", ({ name, query }) => {
      readQuery(query, []);
      return good(hostEntries(dnsOf(state), name));
    }),
    get("/v1/services/{name}", ({ name, query }) => {
      readQuery(query, []);
      return good(serviceEntries(dnsOf(state), name));
    }),
    get("/v1/records", ({ query }) => {
      readQuery(query, []);
      return { status: 200, body: recordStream(dnsOf(state)), contentType: JSON_TYPE };
    }),
    get("/v1/dns/zones", async ({ query }) => {
      readQuery(query, []);
      return good(await zonesBody(dnsOf(state)));
    }),
    get("/v1/dns/query", ({ query }) => {
      const { name = "", type } = readQuery(query, ["name", "type"]);
      return good(queryBody(state, dnsOf(state), name, type));
    }),
  ];
}

/** With one route more, which lists them. */
function withList(all: readonly Route[]): Route[] {
  const list = all.map(({ method, path }) => `${method} ${path}`);
  return [
    get(
      "/",
      plain(() => ({ routes: list })),
    ),
    ...all,
  ];
}

function dnsOf({ dns }: NamesState): DnsState {
  const found = dns();
  if (found !== undefined) return found;
  const [tried, said] = ["ask the DNS server of this node", "it is switched off (setting dns)"];
  throw new NetError("unavailable", { tried, said, remedy: "set dns to on, and start the agent again" });
}

function get(path: string, answer: Route["answer"]): Route {
  return { method: "GET", path, answer };
}

function post(path: string, answer: (body: unknown) => Promise<object>): Route {
  return {
    method: "POST",
    path,
    answer: async ({ query, body }) => {
      readQuery(query, []);
      return good(await answer(body));
    },
  };
}

/** An answer that depends on no parameter. */
function plain(body: () => object): Route["answer"] {
  return ({ query }) => {
    readQuery(query, []);
    return good(body());
  };
}

function good(body: object): Answer {
  return { status: 200, body };
}
