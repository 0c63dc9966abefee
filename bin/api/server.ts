import type { Clock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { Application } from "./application.ts";
import type { ApiState, NamesState } from "./state.ts";

export interface ApiOptions {
  /** In a static cluster there are names only. */
  readonly state: ApiState | NamesState;
  /** IP address to listen on, and on no other. There is no authentication: whoever reaches it may forget nodes. */
  readonly address: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Api {
  /** The port that it listens on. */
  readonly port: number;
  /** Ends all connections and gives the port back. */
  stop(): Promise<void>;
}

/** A connection is closed when its request's head isn't complete after this many seconds, and later when
 *  nothing has moved for as long. Longer than an answer may take. */
const IDLE_S = 60;
/** Reading the body keeps the real bound, and says so in JSON, which the server can't. */
const NO_BOUND = Number.MAX_SAFE_INTEGER;

/** Starts the HTTP API of a node. Throws a NetError `io` when the port can't be had. What it needs is loaded only now:
 *  other commands shall not pay for it. */
export async function startApi({ state, address, port, clock, log }: ApiOptions): Promise<Api> {
  const [{ application }, { metricsPage }, { routes, staticRoutes }, { Traffic }] = await Promise.all([
    import("./application.ts"),
    import("./metrics.ts"),
    import("./routes.ts"),
    import("./traffic.ts"),
  ]);
  const traffic = new Traffic();
  const all = "self" in state ? routes(state, metricsPage({ state, traffic })) : staticRoutes(state);
  const server = listen(address, port, application({ routes: all, traffic, clock, log }));
  const { port: bound = port } = server;
  log.info("API listens", { address, port: bound });
  return { port: bound, stop: () => server.stop(true) };
}

function listen(hostname: string, port: number, answer: Application): Bun.Server<undefined> {
  try {
    return Bun.serve({
      ...{ hostname, port, idleTimeout: IDLE_S, maxRequestBodySize: NO_BOUND },
      // Its error pages would show parts of the program.
      development: false,
      // Without development it would share the port with another agent, and each would get some of the requests.
      reusePort: false,
      fetch: (request, server) => answer(request, server.requestIP(request)?.address),
    });
  } catch (cause) {
    throw new NetError("io", {
      tried: `listen on ${hostname} port ${port}, TCP`,
      said: messageOf(cause),
      remedy: "see who has the port with: ss -lntp",
      cause,
    });
  }
}
