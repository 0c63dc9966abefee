import type { Query } from "../message.ts";
import { parseName } from "../name.ts";
import { addressData, type DnsRecord } from "../record.ts";
import type { Zone } from "../zone.ts";
import type { MesosDnsConfig } from "./config.ts";
import type { MesosRecord } from "./records.ts";

/** The zone of Mesos-DNS. Its negative answers may be kept as long as its records: SOAMinttl is not heeded, as in
 *  Mesos-DNS. */
export function mesosZone(config: MesosDnsConfig, serial: number): Zone {
  const mname = config.SOAMname.slice(0, -1);
  return {
    name: config.Domain,
    soa: {
      type: "SOA",
      mname,
      rname: config.SOARname.slice(0, -1),
      serial,
      refresh: config.SOARefresh,
      retry: config.SOARetry,
      expire: config.SOAExpire,
      minimum: config.TTL,
    },
    soaTtl: config.TTL,
    servers: [mname],
    serverTtl: config.TTL,
  };
}

/** Records as they are served: in lower case, and none whose name can't go on the wire. */
export function servedRecords(records: readonly MesosRecord[], config: MesosDnsConfig): DnsRecord[] {
  return records.flatMap(({ name, rtype, host }): DnsRecord[] => {
    const owner = servedName(name);
    if (owner === undefined) return [];
    if (rtype !== "SRV") return [{ name: owner, ttl: config.TTL, data: addressData(host) }];
    const colon = host.lastIndexOf(":");
    const target = servedName(host.slice(0, colon));
    if (target === undefined) return [];
    const [weight, port] = [config.SRVRecordDefaultWeight, Number(host.slice(colon + 1))];
    return [{ name: owner, ttl: config.TTL, data: { type: "SRV", priority: 0, weight, port, target } }];
  });
}

/** Names with spaces, backslashes or letters beyond ASCII can't be asked for as they are written. */
function servedName(name: string): string | undefined {
  return /^[\x21-\x5b\x5d-\x7e]+$/.test(name) ? parseName(name) : undefined;
}

/** `nginx.*.marathon.mesos` is asked for `nginx.marathon.mesos`. */
export function withoutWildcards(query: Query): Query {
  return query.name.includes(".*") ? { ...query, name: query.name.replaceAll(".*", "") } : query;
}
