import { createHash } from "node:crypto";
import { equalBytes } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { type MemberRecord, memberRecord } from "./member.ts";
import type { Entry } from "./owner-log.ts";
import { WIRE } from "./settings.ts";
import type { NodeState, SavedLog } from "./state.ts";
import { Reader, Writer } from "./wire.ts";

// The file: "dcos-net facts ", format, SHA-256 of what follows, content.

const MAGIC = new TextEncoder().encode("dcos-net facts ");
const HASH_BYTES = 32;
const HEAD_BYTES = MAGIC.length + 1 + HASH_BYTES;
const MAX_FILE = 512 * 1024 * 1024;
const MAX_COUNT = 1_000_000;
const PIECE_BYTES = 256 * 1024;
const NOTHING = new Uint8Array(0);
const FORMAT = 2;

/** Reads the content of a file of one format. */
type ReadContent = (input: Reader) => NodeState;

/** Formats that can be read. Format 1 had no members: whom to contact was in the configuration alone. */
const FORMATS: ReadonlyMap<number, ReadContent> = new Map([
  [1, (input) => getState(input, false)],
  [FORMAT, (input) => getState(input, true)],
]);

/** The bytes of a snapshot. */
export function encodeSnapshot(state: NodeState): Uint8Array {
  const content = Buffer.concat(Array.from(piecesOf(state), (piece) => piece.slice()));
  return Buffer.concat([headOf(createHash("sha256").update(content).digest()), content]);
}

/** The state in these bytes. Throws a NetError: `unsupported` at a newer format, `invalid` at a damaged file. */
export function decodeSnapshot(bytes: Uint8Array, path: string): NodeState {
  if (bytes.length < HEAD_BYTES || !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) {
    throw damaged(path, "it isn't a snapshot of facts");
  }
  const format = bytes[MAGIC.length] ?? 0;
  const read = FORMATS.get(format);
  if (read === undefined) throw tooNew(path, format);
  const content = bytes.subarray(HEAD_BYTES);
  if (!equalBytes(createHash("sha256").update(content).digest(), bytes.subarray(MAGIC.length + 1, HEAD_BYTES))) {
    throw damaged(path, "its checksum doesn't fit its content");
  }
  const input = new Reader(content, "snapshot of facts");
  const state = read(input);
  if (!input.atEnd) throw damaged(path, "it is longer than its content");
  return state;
}

/** Writes the snapshot in one step: after a crash the file is the old one or the new one. */
export function saveSnapshot(files: Files, path: string, state: NodeState): void {
  files.replace(path, encodeSnapshot(state), 0o600);
}

/** The same in many steps of a millisecond or two each, so that other work can be done in between: the content is
 *  written beside the file and takes its place in the last step. It is encoded twice, because its hash comes first and
 *  it may be too much to hold. Who doesn't go to the end calls `return`. */
export function* savingSnapshot(files: Files, path: string, state: NodeState): Generator<undefined, void> {
  const hash = createHash("sha256");
  for (const piece of piecesOf(state)) {
    hash.update(piece);
    yield;
  }
  const part = `${path}.part`;
  try {
    files.write(part, headOf(hash.digest()), 0o600);
    for (const piece of piecesOf(state)) {
      files.append(part, piece);
      yield;
    }
    files.rename(part, path);
  } finally {
    files.remove(part);
  }
}

/** Reads the snapshot; undefined when there is none. Throws as {@link decodeSnapshot} does. */
export function loadSnapshot(files: Files, path: string): NodeState | undefined {
  const bytes = files.read(path, MAX_FILE);
  return bytes === undefined ? undefined : decodeSnapshot(bytes, path);
}

function headOf(hash: Uint8Array): Uint8Array {
  return Buffer.concat([MAGIC, Uint8Array.of(FORMAT), hash]);
}

/** The content, each piece valid until the next one is asked for. */
function* piecesOf({ savedAt, generation, members, logs }: NodeState): Generator<Uint8Array> {
  const out = new Writer(2 * PIECE_BYTES);
  out.varint(savedAt);
  out.varint(generation);
  out.varint(members.length);
  for (const member of members) {
    out.text(member.name);
    out.text(member.address);
    out.varint(member.generation);
    out.varint(member.incarnation);
  }
  out.varint(logs.length);
  for (const { owner, generation: logGeneration, version, entries } of logs) {
    out.text(owner);
    out.varint(logGeneration);
    out.varint(version);
    out.varint(entries.length);
    for (const entry of entries) {
      out.text(entry.key);
      out.varint(entry.version);
      out.bytes(entry.value ?? NOTHING);
      if (out.length < PIECE_BYTES) continue;
      yield out.finish();
      out.clear();
    }
  }
  yield out.finish();
}

function getState(input: Reader, hasMembers: boolean): NodeState {
  const savedAt = input.varint();
  const generation = input.varint();
  const members = hasMembers ? getList(input, getMember) : [];
  return { savedAt, generation, members, logs: getList(input, getLog) };
}

function getMember(input: Reader): MemberRecord {
  const name = input.text(WIRE.name);
  const address = input.text(WIRE.address);
  return memberRecord(name, address, input.varint(), input.varint(), "alive");
}

function getLog(input: Reader): SavedLog {
  const owner = input.text(WIRE.name);
  const generation = input.varint();
  const version = input.varint();
  let last = 0;
  const entries = getList(input, (): Entry => {
    const key = input.text(WIRE.key);
    const at = input.varint();
    if (key === "" || at <= last || at > version) throw input.refusal("a fact is malformed");
    last = at;
    return { key, version: at, value: input.bytes(WIRE.value) };
  });
  return { owner, generation, version, entries };
}

function getList<T>(input: Reader, get: (input: Reader) => T): T[] {
  const count = input.count(MAX_COUNT);
  const list: T[] = [];
  while (list.length < count) list.push(get(input));
  return list;
}

function damaged(path: string, said: string): NetError {
  const remedy = "move it away; the node then learns everything from the others";
  return new NetError("invalid", { tried: `read the snapshot ${path}`, said, remedy });
}

function tooNew(path: string, format: number): NetError {
  return new NetError("unsupported", {
    tried: `read the snapshot ${path}`,
    said: `it has format ${format}; this release reads ${[...FORMATS.keys()].join(" and ")}`,
    remedy: "run the release that wrote it, or move it away; the node then learns everything from the others",
  });
}
