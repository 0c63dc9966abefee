import { inNetns } from "../../kernel/netns.ts";
import { everyNetns, netnsCookie } from "../../kernel/netns-list.ts";
import { type ConnectedSocket, SocketDiag } from "../../kernel/socket-diag.ts";
import { hasErrno } from "../../lib/error.ts";
import type { ServiceKey } from "../service.ts";
import { MapDump } from "./socket-dump.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import { CONNECTION_VALUE, ENDPOINT_BYTES, endpointAt, numberKey, PAIR_BYTES } from "./socket-layout.ts";

/** A connected socket whose backend is none any more. */
interface Bereft {
  readonly cookie: bigint;
  readonly netns: bigint;
  readonly backend: ServiceKey;
}

/** Ends connections to backends that are no longer members of their service, for the services that `concerns` accepts,
 *  by their key in hexadecimal digits. `missed`: the sockets that an earlier call
 *  didn't find; one that is not found a second time isn't connected any more, or is out of reach, and is forgotten.
 *  Throws what the kernel says; one that can't end connections (without CONFIG_INET_DIAG_DESTROY) leaves them as they
 *  are. */
export function endBereft(maps: SocketMaps, missed: Set<bigint>, concerns: (service: string) => boolean): void {
  const left = new Map(bereftIn(maps, concerns).map((socket) => [socket.cookie, socket]));
  if (left.size > 0) {
    for (const cookie of endAll([...left.values()])) {
      maps.connections.delete(numberKey(cookie));
      left.delete(cookie);
    }
  }
  for (const cookie of left.keys()) if (missed.has(cookie)) maps.connections.delete(numberKey(cookie));
  const again = [...left.keys()].filter((cookie) => !missed.has(cookie));
  missed.clear();
  for (const cookie of again) missed.add(cookie);
}

function bereftIn(maps: SocketMaps, concerns: (service: string) => boolean): Bereft[] {
  const connections = new MapDump(maps.connections);
  const known = new Map<string, boolean>();
  const bereft: Bereft[] = [];
  for (let place = 0; place < connections.count; place++) {
    const offset = place * CONNECTION_VALUE.bytes;
    const pair = connections.valueDigits(place, PAIR_BYTES);
    let stays = known.get(pair);
    if (stays === undefined) {
      stays = !concerns(pair.slice(0, 2 * ENDPOINT_BYTES)) || maps.members.get(Uint8Array.fromHex(pair)) !== undefined;
      known.set(pair, stays);
    }
    const backend = endpointAt(connections.values, offset + ENDPOINT_BYTES);
    if (stays || backend === undefined) continue;
    const cookie = connections.keys.getBigUint64(place * 8, true);
    const netns = connections.values.getBigUint64(offset + CONNECTION_VALUE.netns, true);
    bereft.push({ cookie, netns, backend });
  }
  return bereft;
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
