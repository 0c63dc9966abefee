import { EXTENDED_ERROR, RCODE, TYPE } from "./codes.ts";
import type { Query } from "./message.ts";
import { isUnder, type Name, renamed } from "./name.ts";
import type { NameData, RecordSet } from "./name-records.ts";
import type { DnsRecord, RecordData } from "./record.ts";
import { emptyReply, type Reply } from "./reply.ts";
import { negativeSoa, type Zone } from "./zone.ts";
import type { ZoneLookup } from "./zones.ts";

/** Links of a chain of CNAMEs at most; a longer one is taken for a loop. */
const CHAIN_MOST = 16;
/** Targets of service or server records whose addresses are sent along at most. */
const TARGETS_MOST = 64;

/** Names under `from` are answered as if asked under `to`, and renamed back in the answer. */
export interface Alias {
  readonly from: Name;
  readonly to: Name;
}

export interface AnswerOptions {
  /** The longest that fits is used. */
  readonly aliases: readonly Alias[];
  /** Over UDP an ANY question gets one record set (RFC 8482 section 4.1), or it would serve to amplify. */
  readonly overUdp: boolean;
}

/** The answer from local zones, or undefined when the name is in none of them. Pure: it depends on the query, its id
 *  (which turns the order of the records) and the zones alone. */
export function answer(query: Query, zones: ZoneLookup, { aliases, overUdp }: AnswerOptions): Reply | undefined {
  const alias = aliasOf(query.name, aliases);
  const name = alias === undefined ? query.name : renamed(query.name, alias.from, alias.to);
  const zone = zones.zoneOf(name);
  if (zone === undefined) return undefined;
  const reply = new Answering(query, zones, overUdp).reply(name, zone);
  return alias === undefined ? reply : renameBack(reply, alias);
}

export function aliasOf(name: Name, aliases: readonly Alias[]): Alias | undefined {
  let best: Alias | undefined;
  for (const alias of aliases) {
    if (isUnder(name, alias.from) && alias.from.length > (best?.from.length ?? -1)) best = alias;
  }
  return best;
}

class Answering {
  readonly #query: Query;
  readonly #zones: ZoneLookup;
  readonly #overUdp: boolean;

  constructor(query: Query, zones: ZoneLookup, overUdp: boolean) {
    this.#query = query;
    this.#zones = zones;
    this.#overUdp = overUdp;
  }

  reply(name: Name, zone: Zone): Reply {
    const { type } = this.#query;
    if (type === TYPE.AXFR || type === TYPE.IXFR) {
      return emptyReply(RCODE.REFUSED, { code: EXTENDED_ERROR.PROHIBITED, text: "zones are not transferred" });
    }
    const answers: DnsRecord[] = [];
    let [at, in_] = [name, zone];
    for (let links = 0; links < CHAIN_MOST; links++) {
      const data = this.#zones.get(at);
      const sets = data === undefined ? [] : this.#setsOf(data);
      if (sets.length > 0) {
        answers.push(...sets.flatMap(({ records }) => this.#rotated(records)));
        return this.#found(answers);
      }
      const target = data === undefined ? undefined : cnameOf(data);
      if (target === undefined) return this.#negative(at, in_, answers);
      answers.push(target.record);
      const next = this.#zones.zoneOf(target.name);
      if (next === undefined) return this.#found(answers);
      [at, in_] = [target.name, next];
    }
    return emptyReply(RCODE.SERVFAIL, { code: EXTENDED_ERROR.NOT_SUPPORTED, text: `${name} leads round in a circle` });
  }

  #setsOf({ sets }: NameData): readonly RecordSet[] {
    const { type } = this.#query;
    if (type !== TYPE.ANY) return sets.filter((set) => set.type === type);
    return this.#overUdp ? sets.slice(0, 1) : sets;
  }

  /** Records beginning with another one for each query id, so that askers spread. */
  #rotated(records: readonly DnsRecord[]): readonly DnsRecord[] {
    const turn = this.#query.id % records.length;
    return turn === 0 ? records : [...records.slice(turn), ...records.slice(0, turn)];
  }

  #found(answers: readonly DnsRecord[]): Reply {
    const targets = new Set<Name>();
    for (const { data } of answers) {
      if ((data.type === "SRV" || data.type === "NS") && targets.size < TARGETS_MOST) targets.add(data.target);
    }
    const additional = [...targets].flatMap((target) => this.#addresses(target));
    return { rcode: RCODE.NOERROR, authoritative: true, answers, authority: [], additional };
  }

  #addresses(name: Name): DnsRecord[] {
    const sets = this.#zones.get(name)?.sets ?? [];
    return sets.filter(({ type }) => type === TYPE.A || type === TYPE.AAAA).flatMap(({ records }) => records);
  }

  #negative(name: Name, zone: Zone, answers: readonly DnsRecord[]): Reply {
    const rcode = this.#zones.exists(name) ? RCODE.NOERROR : RCODE.NXDOMAIN;
    return { rcode, authoritative: true, answers, authority: [negativeSoa(zone)], additional: [] };
  }
}

function cnameOf({ sets }: NameData): { record: DnsRecord; name: Name } | undefined {
  const record = sets.find(({ type }) => type === TYPE.CNAME)?.records[0];
  return record?.data.type === "CNAME" ? { record, name: record.data.target } : undefined;
}

function renameBack(reply: Reply, { from, to }: Alias): Reply {
  const name = (name: Name): Name => (isUnder(name, to) ? renamed(name, to, from) : name);
  const record = ({ ttl, data, ...rest }: DnsRecord): DnsRecord => ({
    name: name(rest.name),
    ttl,
    data: renameData(data, name),
  });
  return {
    ...reply,
    answers: reply.answers.map(record),
    authority: reply.authority.map(record),
    additional: reply.additional.map(record),
  };
}

function renameData(data: RecordData, name: (name: Name) => Name): RecordData {
  if (data.type === "SOA") return { ...data, mname: name(data.mname), rname: name(data.rname) };
  return "target" in data ? { ...data, target: name(data.target) } : data;
}
