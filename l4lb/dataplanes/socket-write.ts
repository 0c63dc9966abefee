import { NetError } from "../../lib/error.ts";
import type { Change } from "../dataplane.ts";
import { type Backend, backendName, type Service, type ServiceKey, serviceName } from "../service.ts";
import { maglevTable, slotsOf } from "./socket-choice.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import {
  addressKey,
  COUNTER_VALUE,
  numberValue,
  pairKey,
  type ServiceValue,
  serviceKey,
  serviceValue,
  serviceValueAt,
  slotAt,
  slotKey,
  slotValue,
  versionKey,
} from "./socket-layout.ts";
import { MapWrites } from "./socket-map-writes.ts";

/** One change, with what the kernel has of its service. */
interface Step {
  readonly index: number;
  readonly key: ServiceKey;
  /** It may be there in a form that isn't ours. */
  readonly exists: boolean;
  readonly present: ServiceValue | undefined;
  /** Of the present version, as far as they are there. */
  readonly before: readonly Backend[];
  readonly wanted: Service | undefined;
}

/** What came of changes: an entry for each, and the numbers of those that took a backend from connections. */
export interface Written {
  readonly outcome: (Error | undefined)[];
  readonly bereft: readonly number[];
}

/** Carries out changes in the maps. Each service goes from one state to the other in one step: first its new backends
 *  are written beside the present ones, then the service names them, then what it named before is deleted. */
export function writeChanges(maps: SocketMaps, changes: readonly Change[]): Written {
  const outcome = new Array<Error | undefined>(changes.length).fill(undefined);
  const bereft: number[] = [];
  for (let start = 0; start < changes.length; ) {
    const end = endOfRun(changes, start);
    const steps: Step[] = [];
    for (let index = start; index < end; index++) {
      const change = changes[index];
      if (change === undefined) continue;
      outcome[index] = refusalOf(change);
      if (outcome[index] === undefined) steps.push(stepOf(maps, change, index));
    }
    bereft.push(...writeRun(maps, steps, outcome));
    start = end;
  }
  return { outcome, bereft };
}

/** Changes up to the first that is about a service which an earlier one is about already. */
function endOfRun(changes: readonly Change[], start: number): number {
  const seen = new Set<string>();
  for (let index = start; index < changes.length; index++) {
    const change = changes[index];
    if (change === undefined) continue;
    const name = serviceName(change.do === "put" ? change.service : change.key);
    if (seen.has(name)) return index;
    seen.add(name);
  }
  return changes.length;
}

/** What can't be, whatever the kernel says. */
function refusalOf(change: Change): NetError | undefined {
  if (change.do !== "put") return undefined;
  const { service } = change;
  const stranger = service.backends.find(({ ip }) => ip.family !== service.ip.family);
  if (stranger === undefined) return undefined;
  return new NetError("invalid", {
    tried: `balance ${serviceName(service)}`,
    said: `its backend ${backendName(stranger)} is of the other family`,
  });
}

function stepOf(maps: SocketMaps, change: Change, index: number): Step {
  const wanted = change.do === "put" ? change.service : undefined;
  const key = change.do === "put" ? change.service : change.key;
  const value = maps.services.get(serviceKey(key));
  const present = value && serviceValueAt(value);
  const before: Backend[] = [];
  for (let number = 0; number < (present?.backends ?? 0); number++) {
    const slot = maps.slots.get(slotKey(present?.version ?? 0n, number));
    if (slot !== undefined) before.push(slotAt(slot).backend);
  }
  return { index, key, exists: value !== undefined, present, before, wanted };
}

/** Gives the numbers of the changes that took a backend from connections. */
function writeRun(maps: SocketMaps, steps: readonly Step[], outcome: (Error | undefined)[]): number[] {
  let version = takeVersions(maps, steps.length);
  const writes = new MapWrites(maps, outcome);
  const values = new Map<Step, ServiceValue>();
  for (const step of steps) {
    if (step.wanted === undefined) continue;
    values.set(step, writeBackends(writes, step, step.wanted, version));
    version++;
  }
  writes.flush();
  for (const [{ index, key }, value] of values) {
    if (outcome[index] === undefined) writes.set("services", serviceKey(key), serviceValue(value), index);
  }
  for (const { wanted, exists, key } of steps) {
    if (wanted === undefined && exists) writes.delete("services", serviceKey(key));
  }
  writes.flush();
  countAddresses(maps, writes, steps, outcome);
  const bereft = steps.filter((step) => {
    const failed = outcome[step.index] !== undefined;
    const value = values.get(step);
    if (failed && value !== undefined) takeBack(writes, step, value);
    return !failed && deleteBefore(maps, writes, step);
  });
  writes.flush();
  return bereft.map(({ index }) => index);
}

/** The first of so many versions that no other service has or will have. */
function takeVersions(maps: SocketMaps, count: number): bigint {
  const key = new Uint8Array(4);
  const state = maps.state.get(key) ?? new Uint8Array(8);
  const view = new DataView(state.buffer);
  const first = view.getBigUint64(0, true);
  view.setBigUint64(0, first + BigInt(count), true);
  maps.state.set(key, state);
  return first;
}

/** Writes what a service needs under a new version. Who is a member already stays one without interruption: the kernel
 *  puts the new element before the old one. */
function writeBackends(
  writes: MapWrites,
  { index, key }: Step,
  { backends, scheduler, affinity }: Service,
  version: bigint,
): ServiceValue {
  for (const backend of backends) writes.set("members", pairKey(key, backend), numberValue(backend.weight), index);
  for (const [number, slot] of slotsOf(backends).entries()) {
    writes.set("slots", slotKey(version, number), slotValue(slot), index);
  }
  const chosen = backends.filter(({ weight }) => weight > 0);
  if (scheduler === "mh" && chosen.length > 0) {
    writes.set("tables", versionKey(version), new Uint8Array(maglevTable(chosen).buffer), index);
  }
  return { version, choices: chosen.length, backends: backends.length, scheduler, affinity };
}

/** Adds the services that have come to their addresses and takes off those that have gone. */
function countAddresses(
  maps: SocketMaps,
  writes: MapWrites,
  steps: readonly Step[],
  outcome: readonly (Error | undefined)[],
): void {
  const counts = new Map<string, { readonly key: Uint8Array; count: number; readonly index: number }>();
  for (const { index, key, exists, wanted } of steps) {
    const more = Number(wanted !== undefined) - Number(exists);
    if (more === 0 || outcome[index] !== undefined) continue;
    const address = addressKey(key.ip);
    const name = address.toHex();
    const entry = counts.get(name) ?? { key: address, count: countAt(maps.addresses.get(address)), index };
    entry.count += more;
    counts.set(name, entry);
  }
  for (const { key, count, index } of counts.values()) {
    if (count > 0) writes.set("addresses", key, numberValue(count), index);
    else writes.delete("addresses", key);
  }
}

function countAt(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : new DataView(value.buffer).getUint32(0, true);
}

/** Deletes what the service named before the change. True when one of the backends that are gone has connections. */
function deleteBefore(maps: SocketMaps, writes: MapWrites, { key, present, before, wanted }: Step): boolean {
  if (present === undefined) return false;
  deleteVersion(writes, present);
  const staying = new Set(wanted?.backends.map(backendName));
  let bereft = false;
  for (const backend of before) {
    if (staying.has(backendName(backend))) continue;
    const pair = pairKey(key, backend);
    writes.delete("members", pair);
    const counter = maps.counters.get(pair);
    if (counter === undefined) continue;
    writes.delete("counters", pair);
    if (new DataView(counter.buffer).getBigInt64(COUNTER_VALUE.active, true) > 0n) bereft = true;
  }
  return bereft;
}

/** Deletes what a change wrote that the kernel has not taken whole. */
function takeBack(writes: MapWrites, { key, before, wanted }: Step, value: ServiceValue): void {
  deleteVersion(writes, value);
  const staying = new Set(before.map(backendName));
  for (const backend of wanted?.backends ?? []) {
    if (!staying.has(backendName(backend))) writes.delete("members", pairKey(key, backend));
  }
}

function deleteVersion(writes: MapWrites, { version, backends, scheduler, choices }: ServiceValue): void {
  for (let number = 0; number < backends; number++) writes.delete("slots", slotKey(version, number));
  if (scheduler === "mh" && choices > 0) writes.delete("tables", versionKey(version));
}
