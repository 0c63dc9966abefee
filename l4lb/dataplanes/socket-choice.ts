import { type Backend, backendName } from "../service.ts";
import { MH_ENTRIES, type Slot } from "./socket-layout.ts";

/** A slot as it is before anybody has drawn it. */
export type NewSlot = Omit<Slot, "total">;

const FULL = 0xffff_ffff;

/** The slots of a service's backends: first those with weight, then those without, each in the order given. Walker's
 *  alias method, in the form of Vose: two random numbers and at most two look-ups choose among any number of backends
 *  in exact proportion (to one in 2^32). */
export function slotsOf(backends: readonly Backend[]): NewSlot[] {
  const chosen = backends.filter(({ weight }) => weight > 0);
  const total = chosen.reduce((sum, { weight }) => sum + weight, 0);
  // A slot's share of the choices, times the number of slots: 1 is a slot that is full by itself.
  const share = chosen.map(({ weight }) => (weight * chosen.length) / total);
  const threshold = share.map(() => FULL);
  const alias = share.map((_, index) => index);
  const below = [...share.keys()].filter((index) => (share[index] ?? 0) < 1);
  const above = [...share.keys()].filter((index) => (share[index] ?? 0) >= 1);
  for (let small = below.pop(), large = above.at(-1); small !== undefined && large !== undefined; ) {
    const part = share[small] ?? 0;
    threshold[small] = Math.floor(part * 2 ** 32);
    alias[small] = large;
    const rest = (share[large] ?? 0) - (1 - part);
    share[large] = rest;
    if (rest < 1) {
      above.pop();
      below.push(large);
    }
    small = below.pop();
    large = above.at(-1);
  }
  const idle = backends.filter(({ weight }) => weight === 0);
  return [
    ...chosen.map((backend, index) => ({ backend, threshold: threshold[index] ?? FULL, alias: alias[index] ?? index })),
    ...idle.map((backend) => ({ backend, threshold: 0, alias: 0 })),
  ];
}

/** The table of the scheduler `mh`: for each entry the number of a backend among those with weight. Maglev hashing
 *  (Eisenbud and others, NSDI 2016, section 3.4): each backend has its own order of preference over all entries, and
 *  they take turns; one with more weight takes more of them. A backend that comes or goes moves few entries of
 *  others. Empty without backends. */
export function maglevTable(backends: readonly Backend[]): Uint16Array<ArrayBuffer> {
  const table = new Uint16Array(MH_ENTRIES).fill(NONE);
  if (backends.length === 0) return table;
  const most = Math.max(...backends.map(({ weight }) => weight));
  const order = backends.map((backend) => {
    const hash = fnv1a(backendName(backend));
    return { at: hash % MH_ENTRIES, step: (Math.floor(hash / MH_ENTRIES) % (MH_ENTRIES - 1)) + 1, credit: 0 };
  });
  for (let filled = 0; filled < MH_ENTRIES; ) {
    for (const [index, turn] of order.entries()) {
      turn.credit += backends[index]?.weight ?? 0;
      if (turn.credit < most || filled === MH_ENTRIES) continue;
      turn.credit -= most;
      while (table[turn.at] !== NONE) turn.at = (turn.at + turn.step) % MH_ENTRIES;
      table[turn.at] = index;
      filled++;
    }
  }
  return table;
}

/** More than there are backends of one service. */
const NONE = 0xffff;

/** FNV-1a with 32 bits, then mixed (the last step of MurmurHash3): names that differ only in their last digit must not
 *  get neighbouring numbers. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
