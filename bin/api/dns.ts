import { type Alias, answer } from "../../dns/answer.ts";
import { rcodeText, TYPE, typeText } from "../../dns/codes.ts";
import type { Explained, ForwarderStatus } from "../../dns/forward/forwarder.ts";
import { type Name, parseName } from "../../dns/name.ts";
import type { Subject } from "../../dns/naming.ts";
import { type DnsRecord, dataText } from "../../dns/record.ts";
import type { NameTrace, Origin, TracedRecord } from "../../dns/trace.ts";
import type { Zones } from "../../dns/zones.ts";
import { NetError } from "../../lib/error.ts";
import type { ZoneTimes } from "../dns/timed-forwarding.ts";
import type { ZoneCount, ZoneCounter } from "../dns/zone-counter.ts";
import type { NamesState } from "./state.ts";

/** The DNS server of this node as the API sees it. */
export interface DnsState {
  readonly zones: Zones;
  readonly aliases: readonly Alias[];
  /** The walk from a name back to facts. */
  readonly trace: (name: Name, type: number) => NameTrace;
  /** Who is asked about a name outside the local zones; undefined when nobody is. */
  readonly explain: (name: Name, type: number) => Explained | undefined;
  readonly report: () => DnsReport;
  readonly counter: Pick<ZoneCounter, "last" | "count">;
  /** How long askers waited for names of others, by forward zone. */
  readonly times: () => ReadonlyMap<Name, ZoneTimes>;
}

/** How the DNS server of this node does. */
export interface DnsReport {
  /** Where it listens: `198.51.100.1:53`; without those that can't be had yet. */
  readonly listening: readonly string[];
  /** Where it should listen besides, and doesn't. */
  readonly waiting: readonly string[];
  /** What is wrong with addresses, rules or resolv.conf; empty when all is well. */
  readonly problems: readonly string[];
  readonly workers: number;
  /** Names that workers answer by themselves, and the memory that these take, bytes. */
  readonly fastNames: number;
  readonly fastBytes: number;
  /** Queries that workers have answered by themselves. */
  readonly fastAnswers: number;
  /** How it goes with those who are asked about other names. */
  readonly forwarding: ForwarderStatus;
}

/** An entry of `GET /v1/hosts/{name}`, as DC/OS has it. */
export interface HostEntry {
  readonly host: string;
  readonly ip: string;
}

/** An entry of `GET /v1/services/{name}`; `ip` is absent where the target has no address here. */
export interface ServiceEntry {
  readonly service: string;
  readonly host: string;
  readonly port: number;
  readonly ip?: string;
}

/** Addresses of a name in the local zones, IPv4 first; empty when there are none. */
export function hostEntries(state: DnsState, text: string): HostEntry[] {
  const name = readName(text);
  return [TYPE.A, TYPE.AAAA].flatMap((type) => {
    return answersOf(state, name, type).flatMap(({ name: host, data }) => {
      return "address" in data ? [{ host, ip: data.address }] : [];
    });
  });
}

/** Services of a name in the local zones, with each address of their targets. */
export function serviceEntries(state: DnsState, text: string): ServiceEntry[] {
  return answersOf(state, readName(text), TYPE.SRV).flatMap(({ name: service, data }) => {
    if (data.type !== "SRV") return [];
    const entry = { service, host: data.target, port: data.port };
    const addresses = hostEntries(state, data.target);
    return addresses.length === 0 ? [entry] : addresses.map(({ ip }) => ({ ...entry, ip }));
  });
}

/** A local zone as `GET /v1/dns/zones` shows it. */
export interface ZoneEntry extends ZoneCount {
  readonly zone: string;
}

/** What `GET /v1/dns/zones` answers. */
export interface ZonesBody extends DnsReport {
  readonly zones: readonly ZoneEntry[];
  readonly aliases: readonly Alias[];
}

/** The local zones with the number of their names and records, and how the server does. */
export async function zonesBody({ counter, aliases, report }: DnsState): Promise<ZonesBody> {
  const entries = [...(await counter.count())].map(([zone, count]) => ({ zone, ...count }));
  return { ...report(), zones: entries.sort((a, b) => (a.zone < b.zone ? -1 : 1)), aliases };
}

/** A record of an answer with where it comes from. */
export interface TracedEntry {
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  readonly data: string;
  readonly origins: readonly OriginEntry[];
  /** Of all that there are; `origins` has the first. */
  readonly originCount: number;
}

/** What made a record. */
export interface OriginEntry {
  /** The naming rule and its form. */
  readonly rule: string;
  readonly form: string;
  /** What it was made of, for people. */
  readonly of: string;
  readonly fact?: {
    readonly kind: string;
    readonly key: string;
    /** Id of the node whose word it is, and its name where that is known. */
    readonly owner: string;
    readonly ownerName: string;
    /** Seconds since it was observed, by this node's clock. */
    readonly age: number;
  };
}

/** What `GET /v1/dns/query` answers. */
export interface QueryBody {
  readonly asked: string;
  readonly type: string;
  /** What was looked up: another name when the one that was asked is an alias. */
  readonly name: string;
  readonly status: string;
  /** Absent for names outside the local zones. */
  readonly zone?: string;
  readonly records: readonly TracedEntry[];
  /** Who is asked about a name outside the local zones, and what they said. */
  readonly forwarded?: Explained;
  /** Why the answer is as it is, where the answer says so itself. */
  readonly reason?: string;
}

/** The answer to a question with where each record comes from. */
export function queryBody(api: NamesState, state: DnsState, nameText: string, wanted: string | undefined): QueryBody {
  const asked = readName(nameText);
  const type = readType(wanted ?? "A");
  const { name, zone, reply, records } = state.trace(asked, type);
  const forwarded = reply === undefined ? state.explain(name, type) : undefined;
  return {
    asked,
    type: typeText(type),
    name,
    status: reply === undefined ? statusOutside(forwarded) : rcodeText(reply.rcode),
    ...(zone !== undefined && { zone }),
    records: records.map((record) => tracedEntry(api, record)),
    ...(forwarded !== undefined && { forwarded }),
    ...(reply?.extendedError !== undefined && { reason: reply.extendedError.text }),
  };
}

/** Of names outside the local zones. */
function statusOutside(forwarded: Explained | undefined): string {
  return forwarded === undefined ? "REFUSED" : "FORWARDED";
}

function tracedEntry(api: NamesState, { record, origins, originCount }: TracedRecord): TracedEntry {
  const { name, ttl, data } = record;
  const entries = origins.map((origin) => originEntry(api, origin));
  return { name, type: data.type, ttl, data: dataText(data), origins: entries, originCount };
}

function originEntry(api: NamesState, { rule, form, source: { subject, fact } }: Origin): OriginEntry {
  const of = describeSubject(subject);
  if (fact === undefined) return { rule, form, of };
  const { kind, key, owner, observedAt } = fact;
  const ownerName = api.facts().nodes.get(owner)?.fact.body.name ?? owner;
  const age = Math.max(0, Math.round((api.now() - observedAt) / 1000));
  return { rule, form, of, fact: { kind, key, owner, ownerName, age } };
}

function describeSubject(subject: Subject): string {
  switch (subject.kind) {
    case "fixed":
      return "the fixed names";
    case "cluster":
      return "the nodes of the cluster";
    case "node":
      return `node ${subject.node.name}`;
    case "task":
      return `task ${subject.task.name} of ${subject.task.framework.name}, ${subject.task.id}`;
    case "vip":
      return `virtual IP ${subject.vip.label} of ${subject.vip.framework}`;
    case "mesos":
      return `Mesos-DNS's ${subject.record.name}`;
    case "custom":
      return "the setting dns_aliases";
  }
}

function answersOf({ zones, aliases }: DnsState, name: Name, type: number): readonly DnsRecord[] {
  const query = { id: 0, flags: 0, name, type, question: new Uint8Array(0), edns: undefined };
  const reply = answer(query, zones, { aliases, overUdp: false });
  return reply?.answers.filter(({ data }) => TYPE[data.type] === type) ?? [];
}

function readName(text: string): Name {
  const name = parseName(text);
  if (name !== undefined) return name;
  const said = `${JSON.stringify(text.slice(0, 100))} is no name`;
  throw new NetError("invalid", { tried: "look up a name", said, remedy: "labels have at most 63 bytes, names 253" });
}

/** `AAAA`, `srv`, or `TYPE65` (RFC 3597 section 5). */
function readType(text: string): number {
  const word = text.toUpperCase();
  const known = Object.entries(TYPE).find(([name]) => name === word)?.[1];
  const number = known ?? Number(/^TYPE(\d{1,5})$/.exec(word)?.[1] ?? Number.NaN);
  if (number >= 1 && number <= 65_535) return number;
  const remedy = "ask for A, AAAA, SRV, CNAME, PTR, NS, SOA, ANY or TYPE<number>";
  const said = `${JSON.stringify(text.slice(0, 30))} is no type`;
  throw new NetError("invalid", { tried: "look up a name", said, remedy });
}
