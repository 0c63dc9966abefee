import {
  formatIp,
  formatPrefix,
  type Ip,
  isNetwork,
  type Prefix,
  tryParseIp,
  tryParsePrefix,
} from "../../lib/address.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { NodeSubnets } from "../cluster.ts";
import { isObject } from "../section.ts";
import { type OverlayNetwork, parseOverlayNetwork } from "./network.ts";
import type { Change, NodeRecord } from "./registry.ts";
import { isNodeId, type NodeWish } from "./types.ts";

/** Version of the stored form. A store with a higher one was written by a newer release and is left alone. */
export const STORED_FORMAT = 1;

/** Everything that a store keeps. */
export interface StoredState {
  /** Undefined in a new store. */
  readonly network: OverlayNetwork | undefined;
  readonly records: readonly NodeRecord[];
}

/** The state after a list of changes. */
export function withChanges(state: StoredState, changes: readonly Change[]): StoredState {
  const records = new Map(state.records.map((record) => [record.id, record]));
  let { network } = state;
  for (const change of changes) {
    if (change.do === "network") network = change.network;
    else if (change.do === "put") records.set(change.record.id, change.record);
    else records.delete(change.id);
  }
  return { network, records: [...records.values()] };
}

/** A record as a JSON value. */
export function storedRecord(record: NodeRecord): object {
  const { id, address, address6, superseded, wish, vtep } = record;
  const subnets = Object.fromEntries(
    [...record.subnets].map(([name, { v4, v6 }]) => [
      name,
      { ...(v4 && { v4: formatPrefix(v4) }), ...(v6 && { v6: formatPrefix(v6) }) },
    ]),
  );
  return {
    id,
    address: formatIp(address),
    ...(address6 && { address6: formatIp(address6) }),
    ...(superseded && { superseded }),
    wish,
    vtep: { ip: formatIp(vtep.ip), ...(vtep.ip6 && { ip6: formatIp(vtep.ip6) }), mac: vtep.mac },
    subnets,
  };
}

/** Reads what {@link storedRecord} made. Throws a NetError `invalid` naming what is wrong. */
export function readRecord(value: unknown): NodeRecord {
  const record = object(value, "a record");
  const id = text(record["id"], "id");
  if (!isNodeId(id)) throw invalid(`id ${JSON.stringify(id)}`);
  const vtep = object(record["vtep"], `vtep of ${id}`);
  const mac = text(vtep["mac"], `mac of ${id}`);
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) throw invalid(`mac of ${id}`);
  return {
    id,
    address: ip(record["address"], `address of ${id}`),
    address6: optional(record["address6"], (part) => ip(part, `address6 of ${id}`)),
    superseded: record["superseded"] === true,
    wish: readWish(record["wish"], id),
    vtep: {
      ip: ip(vtep["ip"], `endpoint of ${id}`, 4),
      ip6: optional(vtep["ip6"], (part) => ip(part, `endpoint of ${id}`, 6)),
      mac,
    },
    subnets: readSubnets(record["subnets"], id),
  };
}

/** A configuration as a JSON value, in the keys in which operators write it. */
export function storedNetwork(network: OverlayNetwork): object {
  const { vtepSubnet, vtepSubnet6, macOui, vtepMtu, overlays } = network;
  return {
    vtep_subnet: formatPrefix(vtepSubnet),
    ...(vtepSubnet6 && { vtep_subnet6: formatPrefix(vtepSubnet6) }),
    vtep_mac_oui: `${macOui}:00:00:00`.toUpperCase(),
    ...(vtepMtu !== undefined && { vtep_mtu: vtepMtu }),
    overlays: overlays.map(({ name, v4, v6, enabled, isolated }) => ({
      name,
      ...(v4 && { subnet: formatPrefix(v4.subnet), prefix: v4.nodeLength }),
      ...(v6 && { subnet6: formatPrefix(v6.subnet), prefix6: v6.nodeLength }),
      enabled,
      ...(isolated && { isolated }),
    })),
  };
}

/** Reads what {@link storedNetwork} made; throws a NetError `invalid`. */
export function readNetwork(value: unknown): OverlayNetwork {
  return parseOverlayNetwork(value, "the stored overlay configuration");
}

/** Parses stored bytes as a JSON object and checks its `format`. Throws a NetError: `invalid` when it is not ours,
 *  `unsupported` when it is of a newer release. `source` names the file or znode. */
export function parseStored(bytes: Uint8Array, source: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw unreadable(source, messageOf(error));
  }
  if (!isObject(value) || typeof value["format"] !== "number") throw unreadable(source, "it has no format number");
  const format = value["format"];
  if (format === STORED_FORMAT) return value;
  throw new NetError("unsupported", {
    tried: `read ${source}`,
    said: `it has format ${format}, and this release knows format ${STORED_FORMAT}`,
    remedy: "it was left alone; run the release that wrote it",
  });
}

/** The error for stored content that can't be used. */
export function unreadable(source: string, said: string): NetError {
  const remedy = "it was left alone and no address is handed out; restore it from a backup";
  return new NetError("invalid", { tried: `read ${source}`, said, remedy });
}

function readWish(value: unknown, id: string): NodeWish {
  const wish = object(value, `wish of ${id}`);
  return {
    allocateSubnet: wish["allocateSubnet"] === true,
    mesosBridge: wish["mesosBridge"] === true,
    dockerBridge: wish["dockerBridge"] === true,
  };
}

function readSubnets(value: unknown, id: string): Map<string, NodeSubnets> {
  const subnets = new Map<string, NodeSubnets>();
  for (const [name, held] of Object.entries(object(value, `subnets of ${id}`))) {
    const { v4, v6 } = object(held, `subnets of ${id}`);
    subnets.set(name, {
      v4: optional(v4, (part) => subnet(part, `subnet of ${id} in ${name}`, 4)),
      v6: optional(v6, (part) => subnet(part, `subnet of ${id} in ${name}`, 6)),
    });
  }
  return subnets;
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

function object(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (isObject(value)) return value;
  throw invalid(what);
}

function text(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw invalid(what);
}

function ip(value: unknown, what: string, family?: 4 | 6): Ip {
  const found = tryParseIp(text(value, what));
  if (found === undefined || (family !== undefined && found.family !== family)) throw invalid(what);
  return found;
}

function subnet(value: unknown, what: string, family: 4 | 6): Prefix {
  const found = tryParsePrefix(text(value, what));
  if (found === undefined || found.ip.family !== family || !isNetwork(found)) throw invalid(what);
  return found;
}

function invalid(what: string): NetError {
  return unreadable("a stored node", `${what} is missing or wrong`);
}
