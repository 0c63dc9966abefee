import { ipBytes, parseIp } from "../lib/address.ts";
import { TYPE } from "./codes.ts";
import { isSendableName, type Name } from "./name.ts";

export interface AddressData {
  readonly type: "A" | "AAAA";
  /** Canonical text of an IPv4 address for A, of an IPv6 address for AAAA. */
  readonly address: string;
}

/** RFC 2782. */
export interface ServiceData {
  readonly type: "SRV";
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: Name;
}

export interface TargetData {
  readonly type: "CNAME" | "NS" | "PTR";
  readonly target: Name;
}

/** RFC 1035 section 3.3.13; times in seconds. */
export interface SoaData {
  readonly type: "SOA";
  readonly mname: Name;
  readonly rname: Name;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
}

/** Content of a record, by type. */
export type RecordData = AddressData | ServiceData | TargetData | SoaData;

/** A record with its owner: what naming rules make and messages carry. */
export interface DnsRecord {
  readonly name: Name;
  /** Seconds. */
  readonly ttl: number;
  readonly data: RecordData;
}

export function typeOf(data: RecordData): number {
  return TYPE[data.type];
}

/** Content in one line, in the form of zone files (RFC 1035 section 5.1); equal for equal content. */
export function dataText(data: RecordData): string {
  switch (data.type) {
    case "A":
    case "AAAA":
      return data.address;
    case "SRV":
      return `${data.priority} ${data.weight} ${data.port} ${data.target}.`;
    case "SOA": {
      const { mname, rname, serial, refresh, retry, expire, minimum } = data;
      return `${mname}. ${rname}. ${serial} ${refresh} ${retry} ${expire} ${minimum}`;
    }
    case "CNAME":
    case "NS":
    case "PTR":
      return `${data.target}.`;
  }
}

/** An address record for canonical text of either family. */
export function addressData(address: string): AddressData {
  return { type: address.includes(":") ? "AAAA" : "A", address };
}

/** True when every name of the record can go on the wire. */
export function isSendable({ name, data }: DnsRecord): boolean {
  if (!isSendableName(name)) return false;
  if (data.type === "SOA") return isSendableName(data.mname) && isSendableName(data.rname);
  return !("target" in data) || isSendableName(data.target);
}

/** Four or sixteen bytes. */
export function addressBytes({ address }: AddressData): Uint8Array {
  return ipBytes(parseIp(address));
}

/** Writes four or sixteen bytes at an offset. Leaves no garbage for IPv4. */
export function writeAddress(data: AddressData, to: Uint8Array, at: number): void {
  const { type, address } = data;
  if (type === "AAAA") {
    to.set(addressBytes(data), at);
    return;
  }
  let value = 0;
  let octet = at;
  for (let index = 0; index < address.length; index++) {
    const code = address.charCodeAt(index);
    if (code === 0x2e) {
      to[octet++] = value;
      value = 0;
    } else value = value * 10 + code - 0x30;
  }
  to[octet] = value;
}

/** Text whose order is that of the records of one type before rotation: addresses by their octets, services by
 *  priority, weight, port and target, the rest by their names. */
export function orderOf(data: RecordData): string {
  if (data.type === "A" || data.type === "AAAA") return String.fromCharCode(...addressBytes(data));
  if (data.type !== "SRV") return dataText(data);
  return String.fromCharCode(data.priority, data.weight, data.port) + data.target;
}
