import { CLASS, RCODE, TYPE } from "../codes.ts";
import { HEADER_BYTES } from "../message.ts";
import { isUnder, type Name, nameBytes, writeName } from "../name.ts";
import type { NameData } from "../name-records.ts";
import { type AddressData, type DnsRecord, writeAddress } from "../record.ts";
import { encodeReply } from "../reply.ts";
import { negativeSoa, type Zone } from "../zone.ts";
import { A_BYTES, AAAA_BYTES, ENTRY_WORDS, OTHER_TYPES } from "./layout.ts";

/** An entry that is to be written: what it holds, and how much room it needs. */
export interface LocalEntry {
  /** The name on the wire, in the first `keyBytes` bytes. Used again by the next entry. */
  readonly key: Uint8Array;
  readonly keyBytes: number;
  readonly a: readonly DnsRecord[];
  readonly aaaa: readonly DnsRecord[];
  readonly soa: Uint8Array;
  readonly otherTypes: boolean;
}

/** Bytes of an entry. */
export function sizeOfEntry({ keyBytes, a, aaaa, soa }: LocalEntry): number {
  return ENTRY_WORDS * 4 + keyBytes + a.length * A_BYTES + aaaa.length * AAAA_BYTES + soa.length;
}

/** Writes an entry at a word's offset. Leaves no garbage, since a million are written one after another. */
export function writeEntry(
  { key, keyBytes, a, aaaa, soa, otherTypes }: LocalEntry,
  words: Int32Array,
  bytes: Uint8Array,
  offset: number,
): void {
  words[offset] = keyBytes | (otherTypes ? OTHER_TYPES : 0);
  words[offset + 1] = a.length | (aaaa.length << 16);
  words[offset + 2] = soa.length;
  let at = (offset + ENTRY_WORDS) * 4;
  for (let index = 0; index < keyBytes; index++) bytes[at++] = key[index] ?? 0;
  for (const record of a) at = writeAddressRecord(record, bytes, at);
  for (const record of aaaa) at = writeAddressRecord(record, bytes, at);
  bytes.set(soa, at);
}

function writeAddressRecord({ ttl, data }: DnsRecord, bytes: Uint8Array, at: number): number {
  const { type } = data as AddressData;
  const length = type === "A" ? 4 : 16;
  put16(bytes, at, 0xc000 | HEADER_BYTES);
  put16(bytes, at + 2, TYPE[type]);
  put16(bytes, at + 4, CLASS.IN);
  put16(bytes, at + 6, ttl >>> 16);
  put16(bytes, at + 8, ttl & 0xffff);
  put16(bytes, at + 10, length);
  writeAddress(data as AddressData, bytes, at + 12);
  return at + 12 + length;
}

function put16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 0xff;
}

/** Makes entries of what is known of names. */
export class EntryMaker {
  readonly #key = new Uint8Array(256);
  /** SOA records as they follow a question, by zone and by the bytes of the name that is asked for. */
  readonly #soas = new Map<Zone, Map<number, Uint8Array>>();

  /** The bytes of a name, in a buffer that is used again, and how many; 0 for one that can't be sent. */
  keyOf(name: Name): { readonly key: Uint8Array; readonly keyBytes: number } {
    return { key: this.#key, keyBytes: writeName(name, this.#key) };
  }

  /** Undefined for a name that the main thread must answer. The name must be one that can be sent. */
  entryOf(name: Name, { zone, sets }: NameData): LocalEntry | undefined {
    const recordsOf = (type: number): readonly DnsRecord[] => sets.find((set) => set.type === type)?.records ?? NONE;
    const [a, aaaa] = [recordsOf(TYPE.A), recordsOf(TYPE.AAAA)];
    if (a.length > 0xffff || aaaa.length > 0xffff || recordsOf(TYPE.CNAME).length > 0) return undefined;
    const otherTypes = sets.some(({ type }) => type !== TYPE.A && type !== TYPE.AAAA);
    const { key, keyBytes } = this.keyOf(name);
    return { key, keyBytes, a, aaaa, soa: this.#soaOf(name, keyBytes, zone), otherTypes };
  }

  /** Names of one length in one zone have the same record, unless the names in it point to labels below the zone. */
  #soaOf(name: Name, keyBytes: number, zone: Zone): Uint8Array {
    const child = childOf(name, zone.name);
    const { mname, rname } = zone.soa;
    if (child !== undefined && (isUnder(mname, child) || isUnder(rname, child))) return encodeSoa(name, zone);
    let byLength = this.#soas.get(zone);
    if (byLength === undefined) {
      byLength = new Map();
      this.#soas.set(zone, byLength);
    }
    // The apex is as long as no name below it.
    const known = byLength.get(keyBytes);
    if (known !== undefined) return known;
    const made = encodeSoa(name, zone);
    byLength.set(keyBytes, made);
    return made;
  }
}

const NONE: readonly DnsRecord[] = [];

/** The name one label below the zone that a name is at or below; undefined for the zone itself. */
function childOf(name: Name, zone: Name): Name | undefined {
  if (name === zone) return undefined;
  const above = zone === "" ? name.length : name.length - zone.length - 1;
  return name.slice(name.lastIndexOf(".", above - 1) + 1);
}

/** The SOA record as it follows a question about the name. */
function encodeSoa(name: Name, zone: Zone): Uint8Array {
  const question = Uint8Array.from([...(nameBytes(name) ?? []), 0, TYPE.A, 0, CLASS.IN]);
  const query = { id: 0, flags: 0, name, type: TYPE.A, question, edns: undefined };
  const authority = [negativeSoa(zone)];
  const reply = { rcode: RCODE.NOERROR, authoritative: true, answers: [], authority, additional: [] };
  return encodeReply(query, reply, { limit: 1024, recursion: false }).slice(HEADER_BYTES + question.length);
}
