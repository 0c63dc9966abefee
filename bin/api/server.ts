import { createServer, type Server } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { ApiState } from "./state.ts";

export interface ApiOptions {
  readonly state: ApiState;
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

const MOST_CONNECTIONS = 64;

/** Starts the HTTP API of a node. Throws a NetError `io` when the port can't be had. What it needs is loaded only now:
 *  it is 20 MB of memory that other commands shall not pay for. */
export async function startApi({ state, address, port, clock, log }: ApiOptions): Promise<Api> {
  const [{ application }, { metricsPage }, { routes }, { Traffic }] = await Promise.all([
    import("./application.ts"),
    import("./metrics.ts"),
    import("./routes.ts"),
    import("./traffic.ts"),
  ]);
  const traffic = new Traffic();
  const app = application({ routes: routes(state, metricsPage({ state, traffic })), traffic, clock, log });
  const server = createServer(app);
  server.maxConnections = MOST_CONNECTIONS;
  const bound = await listen(server, address, port);
  log.info("API listens", { address, port: bound });
  return {
    port: bound,
    stop() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      return promise;
    },
  };
}

async function listen(server: Server, address: string, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, address, resolve);
  try {
    await promise;
  } catch (cause) {
    throw new NetError("io", {
      tried: `listen on ${address} port ${port}, TCP`,
      said: messageOf(cause),
      remedy: "see who has the port with: ss -lntp",
      cause,
    });
  }
  server.off("error", reject);
  const where = server.address();
  if (typeof where !== "object" || where === null) throw new Error("a server that listens has a port");
  return where.port;
}
