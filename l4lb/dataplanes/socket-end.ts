import { inNetns } from "../../kernel/netns.ts";
import { everyNetns, netnsCookie } from "../../kernel/netns-list.ts";
import { type ConnectedSocket, SocketDiag } from "../../kernel/socket-diag.ts";
import { hasErrno } from "../../lib/error.ts";
import type { ServiceKey } from "../service.ts";
import { type Connection, connectionsIn } from "./socket-connections.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import { ENDPOINT_BYTES } from "./socket-layout.ts";

/** A connected socket whose backend is none any more. */
interface Bereft extends Connection {
  readonly backend: ServiceKey;
}

/** Ends connections to backends that are no longer members of their service. */
export class ConnectionEnder {
  /** Sockets that need no more, with the pair that they were noted with: those that were ended, and those that were
   *  not found twice, which aren't connected any more, or out of reach. Their connections are in the maps until
   *  they are closed: the place of one may be another's before we could free it. */
  #settled = new Map<bigint, string>();
  #missed: ReadonlySet<bigint> = new Set();

  /** True when there are some that were not found, and are looked for once more. */
  get isLooking(): boolean {
    return this.#missed.size > 0;
  }

  /** Ends those of the services that `concerns` accepts, by their key in hexadecimal digits. Throws what the kernel
   *  says; one that can't end connections (without CONFIG_INET_DIAG_DESTROY) leaves them as they are. */
  end(maps: SocketMaps, concerns: (service: string) => boolean): void {
    const bereft = this.#bereft(maps, concerns);
    const found = new Set(bereft.length > 0 ? endAll(bereft) : []);
    const missed = new Set<bigint>();
    for (const { cookie, pair } of bereft) {
      if (found.has(cookie) || this.#missed.has(cookie)) this.#settled.set(cookie, pair);
      else missed.add(cookie);
    }
    this.#missed = missed;
  }

  /** Those that are not settled. What is settled and not as it was any more is forgotten. */
  #bereft(maps: SocketMaps, concerns: (service: string) => boolean): Bereft[] {
    const known = new Map<string, boolean>();
    const isMember = (pair: string): boolean => {
      const is = known.get(pair) ?? maps.members.get(Uint8Array.fromHex(pair)) !== undefined;
      known.set(pair, is);
      return is;
    };
    const bereft: Bereft[] = [];
    const settled = new Map<bigint, string>();
    for (const { cookie, pair, netns, backend } of connectionsIn(maps)) {
      if (this.#settled.get(cookie) === pair) {
        if (!isMember(pair)) settled.set(cookie, pair);
      } else if (backend !== undefined && concerns(pair.slice(0, 2 * ENDPOINT_BYTES)) && !isMember(pair)) {
        bereft.push({ cookie, pair, netns, backend });
      }
    }
    this.#settled = settled;
    return bereft;
  }
}

/** The cookies of the sockets that were found, in whichever namespace. */
function endAll(sockets: readonly Bereft[]): bigint[] {
  const found: bigint[] = [];
  for (const netns of everyNetns()) {
    try {
      const cookie = netnsCookie(netns);
      const here = cookie === undefined ? sockets : sockets.filter((socket) => socket.netns === cookie);
      if (here.length > 0) found.push(...inNetns(netns, () => endHere(here)));
    } finally {
      netns.close();
    }
  }
  return found;
}

function endHere(sockets: readonly Bereft[]): bigint[] {
  const diag = SocketDiag.open();
  try {
    const found = connectedAmong(diag, sockets);
    diag.destroy(found);
    return found.map(({ cookie }) => cookie);
  } catch (error) {
    if (hasErrno(error, "EOPNOTSUPP") || hasErrno(error, "ENOENT")) return [];
    throw error;
  } finally {
    diag.close();
  }
}

function connectedAmong(diag: SocketDiag, sockets: readonly Bereft[]): ConnectedSocket[] {
  const cookies = new Set(sockets.map(({ cookie }) => cookie));
  return (["tcp", "udp"] as const).flatMap((protocol) => {
    const backends = sockets.map(({ backend }) => backend).filter((backend) => backend.protocol === protocol);
    const distinct = new Map(backends.map((backend) => [`${backend.ip.value} ${backend.port}`, backend]));
    return diag.connected(protocol, [...distinct.values()]).filter(({ cookie }) => cookies.has(cookie));
  });
}
