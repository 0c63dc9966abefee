import { type Backend, joinBackends } from "../service.ts";
import {
  affinityElements,
  backendElement,
  type Held,
  headElement,
  identity,
  type Lead,
  ownerKey,
  type Placed,
  slotElement,
} from "./nftables-elements.ts";

/** Elements that go and elements that come. What changes its content does both. */
export interface Difference {
  readonly remove: readonly Placed[];
  readonly add: readonly Placed[];
}

/** What leads from some elements to others. */
export function elementDifference(present: readonly Placed[], wanted: readonly Placed[]): Difference {
  if (present.length === 0 || wanted.length === 0) return { remove: present, add: wanted };
  const have = new Set(present.map(identity));
  const want = new Set(wanted.map(identity));
  return {
    remove: present.filter((placed) => !want.has(identity(placed))),
    add: wanted.filter((placed) => !have.has(identity(placed))),
  };
}

/** What leads from one state of a service to another. Only what differs is put into words: a service can have ten
 *  thousands of backends. */
export function serviceDifference(before: Held, after: Held): Difference {
  const key = ownerKey(after.service);
  const [had, has] = changedBackends(before.service.backends, after.service.backends);
  const { family } = after.service.ip;
  const backends = {
    remove: had.map((backend) => backendElement(family, key, backend)),
    add: has.map((backend) => backendElement(family, key, backend)),
  };
  const parts = [
    elementDifference(fewElements(before), fewElements(after)),
    backends,
    slotDifference(key, before, after),
  ];
  return { remove: parts.flatMap(({ remove }) => remove), add: parts.flatMap(({ add }) => add) };
}

function fewElements({ service, lead }: Held): Placed[] {
  return [headElement(service), ...(lead === undefined ? [] : affinityElements(service))];
}

/** The backends of each side that the other hasn't the same. */
function changedBackends(before: readonly Backend[], after: readonly Backend[]): [Backend[], Backend[]] {
  const had: Backend[] = [];
  const has: Backend[] = [];
  joinBackends(before, after, (from, to) => {
    const [old, young] = [before[from ?? -1], after[to ?? -1]];
    if (old?.weight === young?.weight) return;
    if (old !== undefined) had.push(old);
    if (young !== undefined) has.push(young);
  });
  return [had, has];
}

function slotDifference(key: string, { lead: before }: Held, { lead: after }: Held): Difference {
  const isSameMap = before?.set === after?.set;
  const changed = (lead: Lead | undefined, other: Lead | undefined): Placed[] =>
    lead?.targets.flatMap((target, number) =>
      isSameMap && target === other?.targets[number] ? [] : [slotElement(key, lead, number)],
    ) ?? [];
  return { remove: changed(before, after), add: changed(after, before) };
}
