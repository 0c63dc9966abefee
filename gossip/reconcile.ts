import { sizeOfMessage } from "./codec.ts";
import { type MemberRecord, supersedes } from "./member.ts";
import type { Members } from "./members.ts";
import type { Coverage, DigestEntry, Message, Position, Via } from "./message.ts";
import { BUCKETS, type Names } from "./names.ts";
import type { Delta } from "./owner-log.ts";
import type { Replica } from "./replica.ts";
import type { Settings } from "./settings.ts";
import type { Root, Summary } from "./summary.ts";

export interface ReconcilerOptions {
  readonly self: string;
  readonly names: Names;
  readonly members: Members;
  readonly replica: Replica;
  readonly summary: Summary;
  readonly settings: Settings;
  readonly now: () => number;
  readonly send: (via: Via, to: string, message: Message) => void;
  readonly learn: (record: MemberRecord, absentSeconds: number) => void;
  /** Somebody has facts of this node itself that it doesn't know: a former self wrote them. */
  readonly onFormerSelf: (generation: number) => void;
}

/** What a peer has and this node has not. */
interface Lack {
  readonly mine: Position;
  readonly theirs: Position;
}

interface Wanted {
  readonly theirs: Position;
  /** Monotonic time when it was last asked for; −∞ when it never was. */
  askedAt: number;
  /** It came as news, so the others are to hear of it too. */
  readonly isNews: boolean;
}

/** Names in a digest above which it goes by stream. */
const DATAGRAM_NAMES = 96;
/** Datagrams of one answer; a longer one goes by stream. */
const ANSWER_DATAGRAMS = 4;
/** Positions in one request; above the second number it goes by stream. */
const MAX_WANTS = 512;
const DATAGRAM_WANTS = 64;
/** Time for an answer before the same is asked for again, milliseconds. */
const PATIENCE_MS = 300;
/** Time after which an unanswered request is given up, milliseconds. */
const FORLORN_MS = 60_000;
/** Bytes of a datagram kept for its head. */
const HEAD = 350;

/** Makes two nodes' contents equal, at a cost proportional to the difference: they compare one hash with each ping;
 *  when it differs, the hashes of buckets; then, for buckets that differ, who is where; and then each asks for what it
 *  lacks. The asking side sets the pace, so nobody's buffers fill. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** What is known to exist elsewhere and lacks here, with the time when it was last asked for. */
  readonly #wanted = new Map<string, Wanted>();
  #startedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Starts a comparison when the peer's root differs. */
  compare(peer: string, root: Root): void {
    const { now, send, settings, summary } = this.#options;
    if (summary.isEqual(root) || now() - this.#startedAt < settings.reconcileGapMs) return;
    this.#startedAt = now();
    send("datagram", peer, { type: "buckets", hashes: summary.buckets.slice() });
  }

  /** Tells a peer, by stream, all that this node knows, and asks for what it knows better: the way to join. */
  exchangeAll(peer: string): void {
    const all = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
    this.#sendBuckets("stream", peer, all);
  }

  onBuckets(via: Via, peer: string, hashes: Uint32Array): void {
    const { names, summary } = this.#options;
    const differing = summary.differing(hashes);
    if (differing.length === 0) return;
    const count = differing.reduce((sum, bucket) => sum + names.inBucket(bucket).length, 0);
    this.#sendBuckets(count > DATAGRAM_NAMES ? "stream" : via, peer, differing);
  }

  onDigest(via: Via, peer: string, cover: readonly Coverage[], entries: readonly DigestEntry[], reply: boolean): void {
    const { learn, members, names } = this.#options;
    const excess: number[] = [];
    const lacks: Lack[] = [];
    const mentioned = new Set<number>();
    for (const entry of entries) {
      const { record } = entry;
      learn(record, entry.absentSeconds);
      const index = names.find(record.name);
      const known = members.get(record.name);
      if (index === undefined || known === undefined) continue;
      mentioned.add(index);
      const lack = this.#lack({ owner: record.name, generation: entry.generation, version: entry.version, base: 0 });
      if (lack !== undefined) lacks.push(lack);
      if (this.#hasMore(known, entry)) excess.push(index);
    }
    if (reply) this.#sendExcess(via, peer, [...excess, ...this.#unmentioned(cover, mentioned)]);
    this.#request(via, peer, lacks, false);
  }

  /** There is something newer that was too large to be pushed, or something before it is missing. */
  onNews(via: Via, peer: string, news: Position, isNews: boolean): void {
    if (this.#options.members.get(news.owner) === undefined) return;
    const lack = this.#lack(news);
    if (lack !== undefined) this.#request(via, peer, [lack], isNews);
  }

  /** Notes that facts of an owner came. `asked` when this node had asked for them; `news` is a position to be told to
   *  others. */
  onTaken(owner: string): { readonly asked: boolean; readonly news: Position | undefined } {
    const wanted = this.#wanted.get(owner);
    if (wanted === undefined) return { asked: false, news: undefined };
    if (this.#lack(wanted.theirs) !== undefined) return { asked: true, news: undefined };
    this.#wanted.delete(owner);
    return { asked: true, news: wanted.isNews ? wanted.theirs : undefined };
  }

  onRequest(via: Via, peer: string, wants: readonly Position[]): void {
    const { settings, send } = this.#options;
    const room = settings.datagramBytes - HEAD;
    if (via === "datagram") {
      const answer = this.#answer(wants, room * ANSWER_DATAGRAMS, room);
      if (answer !== undefined) {
        for (const delta of answer.deltas) send("datagram", peer, { type: "delta", delta });
        return;
      }
    }
    const answer = this.#answer(wants, settings.frameBytes, Number.POSITIVE_INFINITY);
    if (answer === undefined) return;
    for (const delta of answer.deltas) send("stream", peer, { type: "delta", delta });
    send("stream", peer, { type: "end", more: answer.more });
  }

  /** Goes on asking where an answer ended because it was full, and for what did not fit into the last request. */
  onEnd(via: Via, peer: string, more: boolean): void {
    const rest: Position[] = [];
    for (const [owner, { theirs, askedAt }] of this.#wanted) {
      const lack = this.#lack(theirs);
      if (lack === undefined) this.#wanted.delete(owner);
      else if (more || askedAt === Number.NEGATIVE_INFINITY) rest.push(lack.mine);
    }
    this.#ask(via, peer, rest);
  }

  /** Drops requests that were fulfilled or never will be. */
  housekeeping(): void {
    const { now } = this.#options;
    for (const [owner, { theirs, askedAt }] of this.#wanted) {
      if (this.#lack(theirs) === undefined || now() - askedAt > FORLORN_MS) this.#wanted.delete(owner);
    }
  }

  /** What lacks here up to somebody's position; undefined when nothing does. */
  #lack(theirs: Position): Lack | undefined {
    const { replica, self, onFormerSelf } = this.#options;
    const mine = replica.position(theirs.owner);
    // A former self's facts must go when the new one has none; where there are none, nothing lacks.
    if (theirs.version === 0 && mine.version === 0) return undefined;
    const isSame = theirs.generation === mine.generation;
    const isLater = isSame ? theirs.version > mine.version : theirs.generation > mine.generation;
    if (!isLater) return undefined;
    if (theirs.owner !== self) return { mine, theirs };
    onFormerSelf(theirs.generation);
    return undefined;
  }

  #hasMore(known: MemberRecord, entry: DigestEntry): boolean {
    if (supersedes(known, entry.record)) return true;
    const mine = this.#options.replica.held(known.name);
    if (mine.version === 0 && entry.version === 0) return false;
    return mine.generation === entry.generation ? mine.version > entry.version : mine.generation > entry.generation;
  }

  /** Names that the covered parts of buckets have here and the digest has not. */
  #unmentioned(cover: readonly Coverage[], mentioned: ReadonlySet<number>): number[] {
    const { members, names } = this.#options;
    return cover.flatMap(({ bucket, part, parts }) =>
      names
        .inBucket(bucket)
        .filter((index) => names.partOf(index, parts) === part && !mentioned.has(index))
        .filter((index) => members.at(index) !== undefined),
    );
  }

  #request(via: Via, peer: string, lacks: readonly Lack[], isNews: boolean): void {
    const { now } = this.#options;
    const due: Position[] = [];
    for (const { mine, theirs } of lacks) {
      const askedAt = this.#wanted.get(theirs.owner)?.askedAt ?? Number.NEGATIVE_INFINITY;
      if (now() - askedAt < PATIENCE_MS) continue;
      this.#wanted.set(theirs.owner, { theirs, askedAt: Number.NEGATIVE_INFINITY, isNews });
      due.push(mine);
    }
    this.#ask(due.length > DATAGRAM_WANTS ? "stream" : via, peer, due);
  }

  #ask(via: Via, peer: string, wants: readonly Position[]): void {
    const { now, send, settings } = this.#options;
    const room = via === "datagram" ? settings.datagramBytes - HEAD : settings.frameBytes;
    let list: Position[] = [];
    let size = 0;
    const flush = (): void => {
      if (list.length > 0) send(via, peer, { type: "request", wants: list });
      list = [];
      size = 0;
    };
    for (const want of wants.slice(0, MAX_WANTS)) {
      const wanted = this.#wanted.get(want.owner);
      if (wanted !== undefined) wanted.askedAt = now();
      const length = want.owner.length + 30;
      if (size + length > room) flush();
      list.push(want);
      size += length;
    }
    flush();
  }

  /** Deltas for as many of the wants as fit; undefined when one is larger than `each` or not all fit and `each` is
   *  finite. */
  #answer(wants: readonly Position[], total: number, each: number): { deltas: Delta[]; more: boolean } | undefined {
    const { replica } = this.#options;
    const deltas: Delta[] = [];
    let left = total;
    let more = false;
    for (const want of wants) {
      const delta = replica.delta(want, Math.min(left, each));
      if (delta === undefined) continue;
      const size = sizeOfMessage({ type: "delta", delta });
      const isCut = delta.to < delta.latest || (size > left && deltas.length > 0);
      if (each < Number.POSITIVE_INFINITY && (size > each || isCut)) return undefined;
      more ||= isCut;
      if (size > left && deltas.length > 0) break;
      deltas.push(delta);
      left -= size;
    }
    return { deltas, more };
  }

  #entry(index: number): DigestEntry | undefined {
    const { members, names, now, replica } = this.#options;
    const record = members.at(index);
    if (record === undefined) return undefined;
    const { generation, version } = replica.held(names.nameOf(index));
    const since = members.absentSince(record.name);
    const absentSeconds = since === undefined ? 0 : Math.max(0, Math.floor((now() - since) / 1000));
    return { record, absentSeconds, generation, version };
  }

  #sendExcess(via: Via, peer: string, indexes: readonly number[]): void {
    const batch = this.#batch(via, peer, false);
    for (const index of indexes) {
      const entry = this.#entry(index);
      if (entry !== undefined) batch.add([], [entry]);
    }
    batch.flush();
  }

  /** Sends whole buckets; one that is too large for a packet is cut into parts by the hash of names. */
  #sendBuckets(via: Via, peer: string, buckets: readonly number[]): void {
    const { names } = this.#options;
    const batch = this.#batch(via, peer, true);
    for (const bucket of buckets) {
      const indexes = names.inBucket(bucket);
      const parts = Math.max(1, Math.ceil(indexes.length / (via === "datagram" ? 8 : 256)));
      for (let part = 0; part < parts; part++) {
        const inPart = indexes.filter((index) => names.partOf(index, parts) === part);
        const entries = inPart.flatMap((index) => this.#entry(index) ?? []);
        batch.add([{ bucket, part, parts }], entries);
      }
    }
    batch.flush();
  }

  /** Collects pieces of a digest into messages of the right size. */
  #batch(via: Via, peer: string, reply: boolean) {
    const { send, settings } = this.#options;
    const room = (via === "datagram" ? settings.datagramBytes : settings.frameBytes) - HEAD;
    let cover: Coverage[] = [];
    let entries: DigestEntry[] = [];
    let size = 0;
    const flush = (): void => {
      if (cover.length + entries.length > 0) send(via, peer, { type: "digest", cover, entries, reply });
      cover = [];
      entries = [];
      size = 0;
    };
    const add = (coverage: readonly Coverage[], piece: readonly DigestEntry[]): void => {
      const length = piece.reduce((sum, { record }) => sum + record.name.length + record.address.length + 42, 8);
      if (size > 0 && size + length > room) flush();
      cover.push(...coverage);
      entries.push(...piece);
      size += length;
    };
    return { add, flush };
  }
}
