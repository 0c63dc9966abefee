import type { ServiceKey } from "../service.ts";
import { MapDump } from "./socket-dump.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import { CONNECTION_VALUE, ENDPOINT_BYTES, endpointAt, PAIR_BYTES, PLACE_VALUE } from "./socket-layout.ts";

/** A connected socket that the programs have noted. */
export interface Connection {
  /** Of the socket. */
  readonly cookie: bigint;
  /** Service and backend, in hexadecimal digits. */
  readonly pair: string;
  /** Cookie of the network namespace in which the socket was connected. */
  readonly netns: bigint;
  /** Undefined for bytes that no program wrote. */
  readonly backend: ServiceKey | undefined;
}

/** The connected sockets, wherever the programs have noted them. */
export function* connectionsIn(maps: SocketMaps): Generator<Connection> {
  const places = new MapDump(maps.connections);
  for (let place = 0; place < places.count; place++) {
    const offset = place * PLACE_VALUE.bytes;
    const cookie = places.values.getBigUint64(offset + PLACE_VALUE.cookie, true);
    if (cookie !== 0n) yield connectionAt(places, offset + PLACE_VALUE.connection, cookie);
  }
  const crowded = new MapDump(maps.crowded);
  for (let place = 0; place < crowded.count; place++) {
    yield connectionAt(crowded, place * CONNECTION_VALUE.bytes, crowded.keys.getBigUint64(place * 8, true));
  }
}

function connectionAt(dump: MapDump, offset: number, cookie: bigint): Connection {
  return {
    cookie,
    pair: dump.digitsOfValues(offset + CONNECTION_VALUE.pair, PAIR_BYTES),
    netns: dump.values.getBigUint64(offset + CONNECTION_VALUE.netns, true),
    backend: endpointAt(dump.values, offset + CONNECTION_VALUE.pair + ENDPOINT_BYTES),
  };
}
