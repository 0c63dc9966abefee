/** A model of what a DNS server must do with whatever bytes arrive, written from the RFCs and with nothing of ours in
 *  it: a judge that shares our decoder would share its mistakes. */

/** What a server under test knows. */
export interface World {
  /** Zones that it answers for, lower case. */
  readonly zones: readonly string[];
  /** Types of the records of every name that has any, lower case. */
  readonly names: ReadonlyMap<string, readonly number[]>;
  /** Suffixes that mean another one. */
  readonly aliases: ReadonlyMap<string, string>;
  /** What its upstream says of a name outside the zones, in lower case: a response code, or "anything" where it
   *  lies. */
  readonly upstream: (name: string) => number | "anything";
}

export type Over = "udp" | "tcp";

/** What must come of a message. */
export interface Verdict {
  /** The codes that are right. */
  readonly rcodes: ReadonlySet<number>;
  /** The question section, which comes back byte for byte; undefined where the server may leave it out. */
  readonly question: Uint8Array | undefined;
  /** Bytes that the reply may have. */
  readonly limit: number;
  /** Whether the reply has an OPT record; undefined where either is right. */
  readonly opt: boolean | undefined;
  /** Whether there are answers, unless they were cut; undefined where either is right. */
  readonly answers: boolean | undefined;
}

const [NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS] = [0, 1, 2, 3, 4, 5, 16];
const [OPT, IXFR, AXFR, ANY] = [41, 251, 252, 255];
const ALL: ReadonlySet<number> = new Set(Array.from({ length: 24 }, (_, code) => code));
const HEADER = 12;
const COOKIE = 10;

/** What must come of a message; undefined for silence. */
export function verdictOf(message: Uint8Array, over: Over, world: World): Verdict | undefined {
  // RFC 1035 section 4.1.1: without a header there is no id to answer to; and an answer to a response would be a loop.
  if (message.length < HEADER || ((message[2] ?? 0) & 0x80) !== 0) return undefined;
  const unread = { question: undefined, limit: over === "tcp" ? 65_535 : 512, opt: undefined, answers: false };
  const bad: Verdict = { ...unread, rcodes: new Set([FORMERR]) };
  if (((message[2] ?? 0) & 0x78) !== 0) return { ...bad, rcodes: new Set([NOTIMP]) };
  // RFC 9619: a query has one question.
  const name = word(message, 4) === 1 ? nameAt(message, HEADER) : undefined;
  // Before the first question there is nothing that it could point to (RFC 1035 section 4.1.4).
  if (name === undefined || name.pointed || name.end + 4 > message.length) return bad;
  const end = name.end + 4;
  const [type, klass] = [word(message, name.end), word(message, name.end + 2)];
  const edns = ednsOf(message, end);
  if (edns === "malformed") return bad;
  const read: Verdict = {
    rcodes: new Set([NOERROR]),
    question: message.slice(HEADER, end),
    limit: over === "tcp" ? 65_535 : Math.max(512, edns?.size ?? 512),
    opt: edns !== undefined,
    answers: false,
  };
  if ((edns?.version ?? 0) !== 0) return { ...read, rcodes: new Set([BADVERS]) };
  // Class IN, or any.
  if (klass !== 1 && klass !== 255) return { ...read, rcodes: new Set([REFUSED]) };
  const isRecursive = ((message[2] ?? 0) & 1) !== 0;
  return { ...read, ...answerOf(name.labels, { type, over, isRecursive }, world) };
}

interface Asked {
  readonly type: number;
  readonly over: Over;
  readonly isRecursive: boolean;
}

function answerOf(labels: readonly string[], asked: Asked, world: World): Pick<Verdict, "rcodes" | "answers"> {
  const { type, over, isRecursive } = asked;
  const key = aliased(keyOf(labels), world.aliases);
  if (world.zones.some((zone) => isWithin(key, keyOfText(zone)))) {
    if (type === AXFR || type === IXFR) return { rcodes: new Set([REFUSED]), answers: false };
    const names = [...world.names].map(([name, types]) => ({ name: keyOfText(name), types }));
    const types = names.find(({ name }) => name === key)?.types;
    // RFC 8020, RFC 4592 section 2.2.2: a name with others below it exists.
    const exists = names.some(({ name }) => isWithin(name, key));
    const answers = types !== undefined && (type === ANY || types.includes(type));
    return { rcodes: new Set([exists ? NOERROR : NXDOMAIN]), answers };
  }
  // RFC 6895 section 3.1: types for questions alone, and OPT, are not asked of others; nor is one that wants no
  // recursion.
  const isMeta = type === OPT || (type >= 128 && type <= 254);
  if (isMeta || !isRecursive) return { rcodes: new Set([REFUSED]), answers: false };
  // RFC 8482: over UDP ANY is answered small; here by the word to come over TCP.
  if (type === ANY && over === "udp") return { rcodes: new Set([NOERROR]), answers: undefined };
  const said = world.upstream(labels.join(".").toLowerCase());
  // One that is late on a busy machine counts as dead.
  return { rcodes: said === "anything" ? ALL : new Set([said, SERVFAIL]), answers: undefined };
}

/** What is wrong with a reply; undefined for a good one. */
export function faultOf(reply: Uint8Array, message: Uint8Array, verdict: Verdict | undefined): string | undefined {
  if (verdict === undefined) return "answered, where silence was due";
  const read = readReply(reply);
  if (read === undefined) return "can't be read";
  const flags = (bytes: Uint8Array, mask: number) => word(bytes, 2) & mask;
  if (flags(reply, 0x8000) === 0) return "isn't a response";
  if (flags(reply, 0x7900) !== flags(message, 0x7900)) return "has another opcode, or another word on recursion";
  if (flags(reply, 0x0040) !== 0) return "has the reserved bit";
  if (!verdict.rcodes.has(read.rcode)) return `has response code ${read.rcode} instead of ${[...verdict.rcodes]}`;
  if (reply.length > verdict.limit) return `has ${reply.length} bytes where ${verdict.limit} are allowed`;
  if (verdict.question !== undefined && !Bun.deepEquals(read.question, verdict.question)) return "has another question";
  if (verdict.opt !== undefined && read.opts !== (verdict.opt ? 1 : 0)) return `has ${read.opts} OPT records`;
  const isCut = flags(reply, 0x0200) !== 0;
  if (verdict.answers !== undefined && !isCut && verdict.answers !== read.answers > 0)
    return `has ${read.answers} answers`;
  return undefined;
}

/** Response code of a reply with what its OPT record adds (RFC 6891 section 6.1.3); undefined when it can't be read. */
export function rcodeOf(reply: Uint8Array): number | undefined {
  return readReply(reply)?.rcode;
}

interface ReadReply {
  readonly rcode: number;
  readonly question: Uint8Array;
  readonly answers: number;
  readonly opts: number;
}

function readReply(bytes: Uint8Array): ReadReply | undefined {
  if (bytes.length < HEADER || word(bytes, 4) > 1) return undefined;
  let at = HEADER;
  if (word(bytes, 4) === 1) {
    const name = nameAt(bytes, at);
    if (name === undefined) return undefined;
    at = name.end + 4;
  }
  const question = bytes.slice(HEADER, at);
  const records = recordsAt(bytes, at);
  if (records === undefined) return undefined;
  const opts = records.filter(({ type }) => type === OPT);
  const rcode = (word(bytes, 2) & 0xf) | ((bytes[opts[0]?.ttlAt ?? -1] ?? 0) << 4);
  return { rcode, question, answers: word(bytes, 6), opts: opts.length };
}

interface ModelRecord {
  readonly labels: readonly string[];
  readonly type: number;
  readonly klass: number;
  readonly ttlAt: number;
  readonly data: Uint8Array;
}

/** All records from here on; undefined unless they end where the message does. */
function recordsAt(bytes: Uint8Array, start: number): ModelRecord[] | undefined {
  const records: ModelRecord[] = [];
  let at = start;
  for (let left = word(bytes, 6) + word(bytes, 8) + word(bytes, 10); left > 0; left--) {
    const name = nameAt(bytes, at);
    if (name === undefined || name.end + 10 > bytes.length) return undefined;
    const dataAt = name.end + 10;
    at = dataAt + word(bytes, name.end + 8);
    if (at > bytes.length) return undefined;
    const data = bytes.subarray(dataAt, at);
    const [type, klass] = [word(bytes, name.end), word(bytes, name.end + 2)];
    records.push({ labels: name.labels, type, klass, ttlAt: name.end + 4, data });
  }
  return at === bytes.length ? records : undefined;
}

/** RFC 6891 section 6.1: one OPT at most, owned by the root, in the additional section, its options whole. */
function ednsOf(message: Uint8Array, start: number): { size: number; version: number } | "malformed" | undefined {
  const records = recordsAt(message, start);
  if (records === undefined) return "malformed";
  const opts = records.filter(({ type }) => type === OPT);
  const [opt] = opts;
  if (opt === undefined) return undefined;
  const isAdditional = records.indexOf(opt) >= word(message, 6) + word(message, 8);
  if (opts.length > 1 || opt.labels.length > 0 || !isAdditional || !areOptions(opt.data)) return "malformed";
  return { size: opt.klass, version: message[opt.ttlAt + 1] ?? 0 };
}

/** RFC 7873 section 5.2.2: a cookie has 8, or 16 to 40, bytes. */
function areOptions(data: Uint8Array): boolean {
  let at = 0;
  while (at + 4 <= data.length) {
    const length = word(data, at + 2);
    const isCookie = word(data, at) === COOKIE && at + 4 + length <= data.length;
    if (isCookie && length !== 8 && (length < 16 || length > 40)) return false;
    at += 4 + length;
  }
  return at === data.length;
}

/** RFC 1035 sections 3.1 and 4.1.4: labels of 63 bytes, names of 255, pointers that lead back. */
function nameAt(bytes: Uint8Array, start: number): { labels: string[]; end: number; pointed: boolean } | undefined {
  const labels: string[] = [];
  let size = 1;
  let end: number | undefined;
  for (let at = start, jumps = 0; ; ) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return { labels, end: end ?? at + 1, pointed: end !== undefined };
    if (length >= 0xc0) {
      const target = word(bytes, at) & 0x3fff;
      if (at + 1 >= bytes.length || target >= at || ++jumps > 200) return undefined;
      end ??= at + 2;
      at = target;
      continue;
    }
    size += length + 1;
    if (length > 63 || size > 255 || at + length >= bytes.length) return undefined;
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + length)).toString("latin1"));
    at += length + 1;
  }
}

/** Between labels: no byte of a label is this letter, so a dot inside one is told from a dot between two. */
const BETWEEN = "Ā";

function keyOf(labels: readonly string[]): string {
  return labels.map((label) => label.replace(/[A-Z]/g, (letter) => letter.toLowerCase())).join(BETWEEN);
}

/** The key of a name that somebody wrote. */
function keyOfText(name: string): string {
  return keyOf(name.split("."));
}

function isWithin(key: string, zone: string): boolean {
  return key === zone || key.endsWith(`${BETWEEN}${zone}`);
}

function aliased(key: string, aliases: ReadonlyMap<string, string>): string {
  for (const [from, to] of aliases) {
    const suffix = keyOfText(from);
    if (isWithin(key, suffix)) return key.slice(0, key.length - suffix.length) + keyOfText(to);
  }
  return key;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
