import type { Answer } from "./answer.ts";
import { type Question, questionKey } from "./question.ts";

/** How long an answer is kept beyond its time, for when nobody can be asked, seconds (RFC 8767 section 5: one to three
 *  days). */
const STALE_MOST = 86_400;
/** Bytes that an entry takes beside its content, about: objects, keys, its place in the workers' table. */
const ENTRY_BYTES = 700;
const RECORD_BYTES = 64;
/** An answer is fetched anew when so much of its time has passed and it was used so often. */
const PREFETCH = { share: 0.9, uses: 3, leastSeconds: 5 } as const;

/** Where fresh answers are put too, so that workers can give them. */
export interface AnswerTable {
  /** `bornSeconds`: when it came, seconds of the monotonic clock. */
  putAnswer(question: Question, answer: Answer, bornSeconds: number): void;
  removeAnswer(question: Question): void;
  /** How often workers gave the answer since the last time that this was asked. */
  takeUses(question: Question): number;
}

/** A kept answer. */
export interface Kept {
  readonly question: Question;
  readonly answer: Answer;
  /** Who gave it, for people. */
  readonly from: string;
  readonly bornSeconds: number;
  readonly bytes: number;
  uses: number;
}

/** What is found for a question: `expired` answers are for when there is nothing better. */
export interface Found {
  readonly kept: Kept;
  readonly ageSeconds: number;
  readonly expired: boolean;
}

export interface CacheStatus {
  readonly entries: number;
  readonly bytes: number;
  readonly evicted: number;
}

/** Answers of others, for as long as these allow, within a bound of bytes. When it is full, the oldest that wasn't used
 *  since it was last looked at goes. Pure: told the monotonic time in whole seconds. */
export class AnswerCache {
  readonly #limit: number;
  readonly #table: AnswerTable;
  readonly #kept = new Map<string, Kept>();
  /** Keys by the second in which they are due to be fetched anew. */
  readonly #dueAt = new Map<number, Set<string>>();
  #dueUntil: number | undefined;
  #bytes = 0;
  #evicted = 0;

  /** `limit`: bytes. */
  constructor(limit: number, table: AnswerTable) {
    this.#limit = limit;
    this.#table = table;
  }

  get(question: Question, now: number): Found | undefined {
    const key = questionKey(question);
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    const ageSeconds = now - kept.bornSeconds;
    const expired = ageSeconds >= kept.answer.lifetime;
    if (ageSeconds >= kept.answer.lifetime + STALE_MOST) {
      this.#forget(key, kept);
      return undefined;
    }
    kept.uses++;
    return { kept, ageSeconds, expired };
  }

  /** Keeps an answer instead of the one before; one that may not be kept only takes that away. */
  put(question: Question, answer: Answer, from: string, now: number): void {
    const key = questionKey(question);
    const before = this.#kept.get(key);
    if (before !== undefined) this.#forget(key, before);
    const bytes = ENTRY_BYTES + 2 * (answer.body.length + question.name.length) + RECORD_BYTES * answer.records.length;
    if (answer.lifetime === 0 || bytes > this.#limit) return;
    this.#kept.set(key, { question, answer, from, bornSeconds: now, bytes, uses: 0 });
    this.#bytes += bytes;
    this.#table.putAnswer(question, answer, now);
    if (answer.lifetime >= PREFETCH.leastSeconds) this.#remind(key, now + Math.floor(answer.lifetime * PREFETCH.share));
    this.#evict();
  }

  /** Questions whose answers will soon be too old and were asked often. */
  takeDue(now: number): readonly Question[] {
    const due: Question[] = [];
    for (let second = this.#dueUntil ?? now; second <= now; second++) {
      for (const key of this.#dueAt.get(second) ?? []) {
        const kept = this.#kept.get(key);
        if (kept === undefined || dueSecond(kept) > now) continue;
        if (this.#usesOf(kept) >= PREFETCH.uses) due.push(kept.question);
      }
      this.#dueAt.delete(second);
    }
    this.#dueUntil = now + 1;
    return due;
  }

  clear(): void {
    for (const [key, kept] of this.#kept) this.#forget(key, kept);
    this.#dueAt.clear();
  }

  status(): CacheStatus {
    return { entries: this.#kept.size, bytes: this.#bytes, evicted: this.#evicted };
  }

  #remind(key: string, second: number): void {
    const keys = this.#dueAt.get(second);
    if (keys === undefined) this.#dueAt.set(second, new Set([key]));
    else keys.add(key);
  }

  #usesOf(kept: Kept): number {
    kept.uses += this.#table.takeUses(kept.question);
    return kept.uses;
  }

  #evict(): void {
    for (const [key, kept] of this.#kept) {
      if (this.#bytes <= this.#limit) return;
      if (this.#usesOf(kept) > 0) {
        kept.uses = 0;
        this.#kept.delete(key);
        this.#kept.set(key, kept);
      } else {
        this.#forget(key, kept);
        this.#evicted++;
      }
    }
  }

  #forget(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#bytes -= kept.bytes;
    this.#table.removeAnswer(kept.question);
  }
}

function dueSecond({ bornSeconds, answer }: Kept): number {
  return bornSeconds + Math.floor(answer.lifetime * PREFETCH.share);
}
