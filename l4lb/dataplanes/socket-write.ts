import { formatIp, type Ip } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { Change } from "../dataplane.ts";
import { type Backend, backendName, type Service, type ServiceKey, serviceName } from "../service.ts";
import { checkService } from "./check-service.ts";
import { maglevTable, slotsOf } from "./socket-choice.ts";
import type { SocketMaps } from "./socket-foundation.ts";
import {
  addressKey,
  hasTable,
  isMapped,
  MEMBER_VALUE,
  pairKey,
  type ServiceValue,
  serviceAt,
  serviceKey,
  slotAt,
  slotKey,
  writeAddress,
  writeEndpoint,
  writePair,
  writeService,
  writeSlot,
  writeSlotKey,
} from "./socket-layout.ts";
import { MapWrites, type WriteKey } from "./socket-map-writes.ts";
import { takeVersions } from "./socket-version.ts";

/** One change, with what the kernel has of its service. */
interface Step {
  readonly index: number;
  readonly key: ServiceKey;
  /** It may be there in a form that isn't ours. */
  readonly exists: boolean;
  readonly present: ServiceValue | undefined;
  /** Of the present version, as far as they are there: with the connections that they have had. */
  readonly before: readonly (Backend & { readonly total: bigint })[];
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
  try {
    checkService(service);
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
  const mapped = [service, ...service.backends].find(({ ip }) => isMapped(ip));
  if (mapped === undefined) return undefined;
  const said = `${formatIp(mapped.ip)} is an IPv4 address in IPv6 form`;
  return new NetError("invalid", { tried: `balance ${serviceName(service)}`, said });
}

function stepOf(maps: SocketMaps, change: Change, index: number): Step {
  const wanted = change.do === "put" ? change.service : undefined;
  const key = change.do === "put" ? change.service : change.key;
  const value = maps.services.get(serviceKey(key));
  const present = value && serviceAt(new DataView(value.buffer), 0);
  const before: Step["before"][number][] = [];
  for (let number = 0; number < (present?.backends ?? 0); number++) {
    const slot = maps.slots.get(slotKey(present?.version ?? 0n, number));
    if (slot === undefined) continue;
    const { backend, total } = slotAt(new DataView(slot.buffer), 0);
    // Only clients with affinity are counted elsewhere.
    const counted = present !== undefined && present.affinity > 0 ? totalOf(maps, key, backend) : 0n;
    before.push({ ...backend, total: total + counted });
  }
  return { index, key, exists: value !== undefined, present, before, wanted };
}

/** What a member has counted itself. */
function totalOf(maps: SocketMaps, key: ServiceKey, backend: Backend): bigint {
  const value = maps.members.get(pairKey(key, backend));
  return value === undefined ? 0n : new DataView(value.buffer).getBigUint64(MEMBER_VALUE.total, true);
}

/** Gives the numbers of the changes that took a backend from connections. */
function writeRun(maps: SocketMaps, steps: readonly Step[], outcome: (Error | undefined)[]): number[] {
  let version = takeVersions(maps.state, steps.length);
  const writes = new MapWrites(maps, outcome);
  const values = new Map<Step, ServiceValue>();
  for (const step of steps) {
    if (step.wanted === undefined) continue;
    values.set(step, writeBackends(writes, step, step.wanted, version));
    version++;
  }
  writes.flush();
  for (const [{ index, key }, value] of values) {
    if (outcome[index] === undefined) writes.set("services", index, endpointOf(key), atOffset(writeService, value));
  }
  for (const { wanted, exists, key } of steps) {
    if (wanted === undefined && exists) writes.delete("services", endpointOf(key));
  }
  writes.flush();
  countAddresses(maps, writes, steps, outcome);
  const bereft = steps.filter((step) => {
    const failed = outcome[step.index] !== undefined;
    const value = values.get(step);
    if (failed && value !== undefined) takeBack(writes, step, value);
    return !failed && deleteBefore(writes, step);
  });
  writes.flush();
  return bereft.map(({ index }) => index);
}

/** Writes what a service needs under a new version. Who is a member already stays one without interruption: the kernel
 *  puts the new element before the old one. What has been counted goes on in the new slots. */
function writeBackends(
  writes: MapWrites,
  { index, key, before }: Step,
  { backends, scheduler, affinity }: Service,
  version: bigint,
): ServiceValue {
  for (const backend of backends) writes.set("members", index, pairOf(key, backend), numberOf(backend.weight));
  const totals = new Map(before.map((backend) => [backendName(backend), backend.total]));
  for (const [number, slot] of slotsOf(backends).entries()) {
    const total = totals.get(backendName(slot.backend)) ?? 0n;
    writes.set("slots", index, slotOf(version, number), atOffset(writeSlot, { ...slot, total }));
  }
  const chosen = backends.filter(({ weight }) => weight > 0);
  if (hasTable({ scheduler, choices: chosen.length })) {
    const table = maglevTable(chosen);
    writes.set("tables", index, versionOf(version), (view, offset) => {
      for (const [entry, slot] of table.entries()) view.setUint16(offset + 2 * entry, slot, true);
    });
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
  const counts = new Map<string, { readonly ip: Ip; count: number; readonly index: number }>();
  for (const { index, key, exists, wanted } of steps) {
    const more = Number(wanted !== undefined) - Number(exists);
    if (more === 0 || outcome[index] !== undefined) continue;
    const { ip } = key;
    const name = `${ip.family} ${ip.value}`;
    const entry = counts.get(name) ?? { ip, count: countAt(maps.addresses.get(addressKey(ip))), index };
    entry.count += more;
    counts.set(name, entry);
  }
  for (const { ip, count, index } of counts.values()) {
    const address: WriteKey = (view, offset) => writeAddress(view, offset, ip);
    if (count > 0) writes.set("addresses", index, address, numberOf(count));
    else writes.delete("addresses", address);
  }
}

function countAt(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : new DataView(value.buffer).getUint32(0, true);
}

/** Deletes what the service named before the change. True when one of the backends that are gone may have connections:
 *  it has had some. */
function deleteBefore(writes: MapWrites, { key, present, before, wanted }: Step): boolean {
  if (present === undefined) return false;
  deleteVersion(writes, present);
  const staying = new Set(wanted?.backends.map(backendName));
  const gone = before.filter((backend) => !staying.has(backendName(backend)));
  for (const backend of gone) writes.delete("members", pairOf(key, backend));
  return gone.some(({ total }) => total > 0n);
}

/** Deletes what a change wrote that the kernel has not taken whole. */
function takeBack(writes: MapWrites, { key, before, wanted }: Step, value: ServiceValue): void {
  deleteVersion(writes, value);
  const staying = new Set(before.map(backendName));
  for (const backend of wanted?.backends ?? []) {
    if (!staying.has(backendName(backend))) writes.delete("members", pairOf(key, backend));
  }
}

function deleteVersion(writes: MapWrites, value: ServiceValue): void {
  const { version, backends } = value;
  for (let number = 0; number < backends; number++) writes.delete("slots", slotOf(version, number));
  if (hasTable(value)) writes.delete("tables", versionOf(version));
}

function endpointOf(key: ServiceKey): WriteKey {
  return (view, offset) => writeEndpoint(view, offset, key.protocol, key);
}

function pairOf(key: ServiceKey, backend: Backend): WriteKey {
  return (view, offset) => writePair(view, offset, key, backend);
}

function slotOf(version: bigint, number: number): WriteKey {
  return (view, offset) => writeSlotKey(view, offset, version, number);
}

function versionOf(version: bigint): WriteKey {
  return (view, offset) => view.setBigUint64(offset, version, true);
}

function numberOf(number: number): WriteKey {
  return (view, offset) => view.setUint32(offset, number, true);
}

function atOffset<T>(write: (view: DataView, offset: number, value: T) => void, value: T): WriteKey {
  return (view, offset) => write(view, offset, value);
}
