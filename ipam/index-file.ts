import { formatIp, tryParseIp } from "../lib/address.ts";
import type { HeldLease } from "./directory.ts";

/** What a lease index was made for. */
export interface IndexHeader {
  /** Boot id under which the leases in the index were known. */
  readonly boot: string;
  /** Inode of the network's directory. */
  readonly inode: bigint;
  /** Modification time of the network's directory, nanoseconds since 1970; 0 while the index is being rewritten. */
  readonly modifiedNs: bigint;
  /** Numbers of the owner files that exist, so that a lost one is noticed. */
  readonly shards: readonly number[];
}

const VERSION = 1;
const text = new TextDecoder();

export function encodeHeader({ boot, inode, modifiedNs, shards }: IndexHeader): string {
  return withChecksum([VERSION, boot, `${inode}`, `${modifiedNs}`, shards]);
}

/** The header in `bytes`; undefined when they are damaged or of another version. */
export function decodeHeader(bytes: Uint8Array): IndexHeader | undefined {
  const [version, boot, inode, modifiedNs, shards] = checkedList(bytes) ?? [];
  if (version !== VERSION || typeof boot !== "string" || !isInteger(inode) || !isInteger(modifiedNs)) return undefined;
  if (!Array.isArray(shards) || !shards.every((shard) => typeof shard === "number")) return undefined;
  return { boot, inode: BigInt(inode), modifiedNs: BigInt(modifiedNs), shards };
}

/** Leases as a checksum line and a JSON array of [address, container id, interface name or null]. */
export function encodeLeases(leases: readonly HeldLease[]): string {
  return withChecksum(leases.map(({ ip, holder }) => [formatIp(ip), holder.id, holder.ifname ?? null]));
}

/** The leases in `bytes`; undefined when they are damaged. */
export function decodeLeases(bytes: Uint8Array): HeldLease[] | undefined {
  const leases = checkedList(bytes)?.map(decodeRow);
  return leases?.every((lease) => lease !== undefined) ? leases : undefined;
}

function decodeRow(row: unknown): HeldLease | undefined {
  if (!Array.isArray(row)) return undefined;
  const [address, id, ifname]: unknown[] = row;
  const ip = typeof address === "string" ? tryParseIp(address) : undefined;
  if (ip === undefined || typeof id !== "string") return undefined;
  if (ifname === null) return { ip, holder: { id, ifname: undefined } };
  return typeof ifname === "string" ? { ip, holder: { id, ifname } } : undefined;
}

function isInteger(value: unknown): value is string {
  return typeof value === "string" && /^-?\d{1,20}$/.test(value);
}

/** A line with the checksum of the rest, so that a truncated file is never taken for a shorter list of leases. */
function withChecksum(list: readonly unknown[]): string {
  const body = JSON.stringify(list);
  return `${checksum(body)}\n${body}`;
}

function checkedList(bytes: Uint8Array): unknown[] | undefined {
  const content = text.decode(bytes);
  const cut = content.indexOf("\n");
  const body = content.slice(cut + 1);
  if (cut < 0 || content.slice(0, cut) !== checksum(body)) return undefined;
  const list: unknown = JSON.parse(body);
  return Array.isArray(list) ? list : undefined;
}

function checksum(body: string): string {
  return Bun.hash.crc32(body).toString(16);
}
