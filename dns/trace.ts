import type { NodeFact, TaskFact } from "../facts/fact.ts";
import { dcosLabel } from "../lib/dcos-label.ts";
import { type Alias, aliasOf, answer } from "./answer.ts";
import { FLAG } from "./codes.ts";

import { type Name, renamed } from "./name.ts";
import { discoveryName, NAMING_RULES, type NamingRule, type Subject } from "./naming.ts";
import { type DnsRecord, dataText } from "./record.ts";
import type { Reply } from "./reply.ts";
import { reverseName } from "./reverse.ts";
import type { ZoneLookup } from "./zones.ts";

/** What a record may come from, with the fact that told of it, where there is one. */
export interface RecordSource {
  readonly subject: Subject;
  readonly fact: TaskFact | NodeFact | undefined;
}

/** Where a record comes from: the naming rule that made it, and of what. */
export interface Origin {
  readonly rule: string;
  readonly form: string;
  readonly source: RecordSource;
}

/** A record of an answer with where it comes from. */
export interface TracedRecord {
  readonly record: DnsRecord;
  /** The first of them. */
  readonly origins: readonly Origin[];
  /** Of all that there are: instances of a task share records. */
  readonly originCount: number;
}

/** The walk from a name back to facts. */
export interface NameTrace {
  /** The name that was looked up: another one when that which was asked is an alias. */
  readonly name: Name;
  readonly alias: Alias | undefined;
  /** The local zone of the name; undefined when it is none of ours. */
  readonly zone: Name | undefined;
  /** The answer from it, undefined without a zone. */
  readonly reply: Reply | undefined;
  readonly records: readonly TracedRecord[];
}

export interface TraceOptions {
  readonly zones: ZoneLookup;
  readonly aliases: readonly Alias[];
  /** Everything that records are made of. */
  readonly sources: Iterable<RecordSource>;
}

/** Origins of one record that are kept. */
const ORIGINS_MOST = 10;

/** Answers a question from the local zones and says of each record where it comes from. Pure; costs a look at every
 *  task. */
export function traceName(asked: Name, type: number, { zones, aliases, sources }: TraceOptions): NameTrace {
  const alias = aliasOf(asked, aliases);
  const name = alias === undefined ? asked : renamed(asked, alias.from, alias.to);
  const query = { id: 0, flags: FLAG.RD, name, type, question: new Uint8Array(0), edns: undefined };
  const reply = answer(query, zones, { aliases: [], overUdp: false });
  const records = reply?.answers ?? [];
  return { name, alias, zone: zones.zoneOf(name)?.name, reply, records: originsOf(records, sources) };
}

function originsOf(records: readonly DnsRecord[], sources: Iterable<RecordSource>): TracedRecord[] {
  if (records.length === 0) return [];
  const found = new Map(records.map((record) => [keyOf(record), new Tracing(record)]));
  const names = new Set(records.map(({ name }) => name));
  for (const source of sources) {
    if (!mayMake(source.subject, names)) continue;
    for (const rule of NAMING_RULES) {
      if (rule.kind !== source.subject.kind) continue;
      for (const key of new Set(rule.records(source.subject).map(keyOf))) found.get(key)?.add(rule, source);
    }
  }
  return [...found.values()];
}

class Tracing implements TracedRecord {
  readonly record: DnsRecord;
  readonly origins: Origin[] = [];
  originCount = 0;

  constructor(record: DnsRecord) {
    this.record = record;
  }

  add({ id: rule, form }: NamingRule, source: RecordSource): void {
    this.originCount++;
    if (this.origins.length < ORIGINS_MOST) this.origins.push({ rule, form, source });
  }
}

/** False for tasks that none of the names can come from: to make all records of every task would take long. */
function mayMake(subject: Subject, names: ReadonlySet<Name>): boolean {
  if (subject.kind !== "task") return true;
  const { task } = subject;
  const begin = dcosLabel(discoveryName(task)).slice(0, 16);
  return (
    names.values().some((name) => name.includes(begin)) ||
    task.addresses.some(({ address }) => names.has(reverseName(address)))
  );
}

function keyOf({ name, data }: DnsRecord): string {
  return `${name} ${data.type} ${dataText(data)}`;
}
