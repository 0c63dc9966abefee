import type { Name } from "./name.ts";
import type { DnsRecord, SoaData } from "./record.ts";

/** A part of the name space that we answer for. */
export interface Zone {
  readonly name: Name;
  readonly soa: SoaData;
  /** TTL of the SOA record at the apex, seconds. */
  readonly soaTtl: number;
  /** Name servers named at the apex. */
  readonly servers: readonly Name[];
  /** TTL of the NS records, seconds. */
  readonly serverTtl: number;
  /** Of one of many small zones: the name under which all of them are counted. */
  readonly countedAs?: Name;
}

/** A zone with the values of DC/OS: serial 1 that never grows, and a negative TTL of one second. */
export function dcosZone(name: Name): Zone {
  const soa: SoaData = {
    type: "SOA",
    mname: "ns.spartan",
    rname: "support.mesosphere.com",
    serial: 1,
    refresh: 60,
    retry: 180,
    expire: 86_400,
    minimum: 1,
  };
  return { name, soa, soaTtl: 5, servers: ["ns.spartan"], serverTtl: 3600 };
}

/** Records at the apex of a zone. */
export function apexRecords({ name, soa, soaTtl, servers, serverTtl }: Zone): DnsRecord[] {
  return [
    { name, ttl: soaTtl, data: soa },
    ...servers.map((target): DnsRecord => ({ name, ttl: serverTtl, data: { type: "NS", target } })),
  ];
}

/** The SOA record that goes with a negative answer, for as long as that may be kept (RFC 2308 section 3). */
export function negativeSoa({ name, soa, soaTtl }: Zone): DnsRecord {
  return { name, ttl: Math.min(soaTtl, soa.minimum), data: soa };
}
