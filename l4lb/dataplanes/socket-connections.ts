import type { ServiceKey } from "../service.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import { CONNECTION_VALUE, ENDPOINT_BYTES, endpointAt, PAIR_BYTES, PART, PLACE_VALUE } from "./socket-layout.ts";

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
export function* connectionsIn({ connections, crowded }: SocketMaps): Generator<Connection> {
  const parts = connections.dump();
  const places = viewOf(parts.values);
  for (let part = 0; part < parts.count; part++) {
    const end = (part + 1) * PART.bytes;
    for (let place = part * PART.bytes + PART.places; place < end; place += PLACE_VALUE.bytes) {
      const cookie = places.getBigUint64(place + PLACE_VALUE.cookie, true);
      if (cookie !== 0n) yield connectionAt(places, place + PLACE_VALUE.connection, cookie);
    }
  }
  const { keys, values, count } = crowded.dump();
  const [cookies, connected] = [viewOf(keys), viewOf(values)];
  for (let index = 0; index < count; index++) {
    yield connectionAt(connected, index * CONNECTION_VALUE.bytes, cookies.getBigUint64(index * 8, true));
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function connectionAt(view: DataView, offset: number, cookie: bigint): Connection {
  const pair = offset + CONNECTION_VALUE.pair;
  return {
    cookie,
    pair: new Uint8Array(view.buffer, view.byteOffset + pair, PAIR_BYTES).toHex(),
    netns: view.getBigUint64(offset + CONNECTION_VALUE.netns, true),
    backend: endpointAt(view, pair + ENDPOINT_BYTES),
  };
}
