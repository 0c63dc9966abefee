import type { BpfMap } from "../../kernel/bpf-map.ts";
import { PORT_AT, SLOT_KEY } from "./socket-layout.ts";

/** What a map held when it was read. Keys are named by their hexadecimal digits, which are cut out of one text: names
 *  are made by the ten thousand. */
export class MapDump {
  readonly count: number;
  readonly keys: DataView;
  readonly values: DataView;
  readonly #keyDigits: string;
  readonly #valueDigits: string;
  readonly #keyWidth: number;
  readonly #valueWidth: number;
  #places: ReadonlyMap<string, number> | undefined;

  constructor(map: BpfMap) {
    const { keys, values, count } = map.dump();
    this.count = count;
    this.keys = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
    this.values = new DataView(values.buffer, values.byteOffset, values.byteLength);
    this.#keyDigits = keys.toHex();
    this.#valueDigits = values.toHex();
    this.#keyWidth = 2 * map.spec.keyBytes;
    this.#valueWidth = 2 * map.spec.valueBytes;
  }

  /** The name of the element at a place, or of the first `bytes` of its key. */
  name(place: number, bytes = this.#keyWidth / 2): string {
    const start = place * this.#keyWidth;
    return this.#keyDigits.slice(start, start + 2 * bytes);
  }

  /** The first bytes of a value in hexadecimal digits. */
  valueDigits(place: number, bytes = this.#valueWidth / 2): string {
    const start = place * this.#valueWidth;
    return this.#valueDigits.slice(start, start + 2 * bytes);
  }

  /** Where the element with this name is. */
  place(name: string): number | undefined {
    this.#places ??= new Map(Array.from({ length: this.count }, (_, place) => [this.name(place), place]));
    return this.#places.get(name);
  }

  /** The names of all elements. */
  names(): string[] {
    return Array.from({ length: this.count }, (_, place) => this.name(place));
  }
}

/** The name of the pair of a service and the backend in a slot: what a pair's key would be. */
export function pairName(service: string, slots: MapDump, place: number): string {
  return service + slots.valueDigits(place, PORT_AT + 2) + service.slice(2 * (PORT_AT + 2));
}

/** By version: the places of its slots by their number. */
export function slotPlaces(slots: MapDump): ReadonlyMap<bigint, ReadonlyMap<number, number>> {
  const places = new Map<bigint, Map<number, number>>();
  for (let place = 0; place < slots.count; place++) {
    const offset = place * SLOT_KEY.bytes;
    const version = slots.keys.getBigUint64(offset + SLOT_KEY.version, true);
    let own = places.get(version);
    if (own === undefined) {
      own = new Map();
      places.set(version, own);
    }
    own.set(slots.keys.getUint32(offset + SLOT_KEY.index, true), place);
  }
  return places;
}
