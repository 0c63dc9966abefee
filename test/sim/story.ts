import type { Status } from "../../gossip/membership.ts";

const KEPT = 20_000;

interface Line {
  readonly at: number;
  readonly who: string;
  readonly what: string;
}

/** What happened in a run, to be read when it failed. Keeps the last lines only. */
export class Story {
  readonly #now: () => number;
  readonly #lines: Line[] = [];
  #next = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  tell(who: string, what: string): void {
    this.#lines[this.#next % KEPT] = { at: this.#now(), who, what };
    this.#next++;
  }

  tellStatus(who: string, about: string, status: Status): void {
    this.tell(who, `counts ${about} as ${status}`);
  }

  /** The last lines, oldest first. What many nodes say at nearly the same time is one line. */
  text(limit = 200): string {
    const start = Math.max(0, this.#next - KEPT);
    const lines = Array.from({ length: this.#next - start }, (_, index) => this.#lines[(start + index) % KEPT]);
    const groups = new Map<
      string,
      { readonly at: number; until: number; readonly who: string[]; readonly what: string }
    >();
    for (const line of lines) {
      if (line === undefined) continue;
      const key = `${line.what} ${Math.floor(line.at / 2000)}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { at: line.at, until: line.at, who: [line.who], what: line.what });
      else {
        group.who.push(line.who);
        group.until = line.at;
      }
    }
    return [...groups.values()].slice(-limit).map(sentence).join("\n");
  }
}

function sentence(group: { at: number; until: number; who: readonly string[]; what: string }): string {
  const { at, until, who, what } = group;
  const first = who[0] ?? "";
  const time = `${(at / 1000).toFixed(3).padStart(10)} s`;
  if (who.length === 1) return `${time}  ${first} ${what}`;
  return `${time}  ${first} and ${who.length - 1} others until ${(until / 1000).toFixed(3)} s: ${what}`;
}
