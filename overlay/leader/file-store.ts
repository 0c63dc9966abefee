import { NetError } from "../../lib/error.ts";
import type { FileLock, FileStat, Files } from "../../lib/files.ts";
import { checksum } from "./checksum.ts";
import type { Change } from "./registry.ts";
import type { LeaderStore, Term } from "./store.ts";
import {
  parseStored,
  readNetwork,
  readRecord,
  STORED_FORMAT,
  type StoredState,
  storedNetwork,
  storedRecord,
  unreadable,
  withChanges,
} from "./stored.ts";

/** 65,536 nodes with a few overlays take about 30 MB. */
const LARGEST_FILE = 64 << 20;
const EMPTY: StoredState = { network: undefined, records: [] };

/**
 * A store in one file, for clusters with a single leader: the one process that holds the lock beside the file. Each
 * commit replaces the file in one step, so that a crash leaves the old content or the new.
 *
 * The file is two lines: a header `{"format": 1, "checksum": …}` and the state; the checksum is over the second line.
 * The epoch in it grows with each term.
 */
export function fileStore(files: Files, path: string): LeaderStore {
  return {
    async lead(signal) {
      signal.throwIfAborted();
      const slash = path.lastIndexOf("/");
      if (slash > 0) files.makeDirectory(path.slice(0, slash), 0o700);
      const lock = takeLock(files, path);
      try {
        return new FileTerm(files, path, lock);
      } catch (error) {
        lock.release();
        throw error;
      }
    },
  };
}

interface Content {
  readonly epoch: number;
  readonly state: StoredState;
}

class FileTerm implements Term {
  readonly epoch: number;
  readonly stored: StoredState;
  readonly lost: Promise<NetError>;
  readonly #files: Files;
  readonly #path: string;
  readonly #lock: FileLock;
  readonly #lose: (reason: NetError) => void;
  #state: StoredState;
  /** What tells the file as we wrote it from another. */
  #mark = "";
  #over = false;

  constructor(files: Files, path: string, lock: FileLock) {
    const { promise, resolve } = Promise.withResolvers<NetError>();
    this.lost = promise;
    this.#lose = resolve;
    this.#files = files;
    this.#path = path;
    this.#lock = lock;
    const before = readContent(files, path);
    this.stored = before.state;
    this.epoch = before.epoch + 1;
    this.#state = before.state;
    this.#write(before.state);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    try {
      if (this.#over) throw foreign(this.#path, "this leadership has ended");
      if (markOf(this.#files.stat(this.#path)) !== this.#mark) {
        throw foreign(this.#path, "somebody else has replaced it");
      }
      const next = withChanges(this.#state, changes);
      this.#write(next);
      this.#state = next;
    } catch (error) {
      this.#end(error instanceof NetError ? error : foreign(this.#path, String(error)));
      throw error;
    }
  }

  async resign(): Promise<void> {
    this.#end(foreign(this.#path, "leadership was given up"));
  }

  #write(state: StoredState): void {
    this.#files.replace(this.#path, contentText({ epoch: this.epoch, state }), 0o600);
    this.#mark = markOf(this.#files.stat(this.#path));
  }

  #end(reason: NetError): void {
    this.#over = true;
    this.#lock.release();
    this.#lose(reason);
  }
}

function takeLock(files: Files, path: string): FileLock {
  try {
    return files.lock(`${path}.lock`, 0);
  } catch (error) {
    if (!(error instanceof NetError) || error.code !== "busy") throw error;
    throw new NetError("busy", {
      tried: `lead with the store ${path}`,
      said: "another process leads with it",
      remedy: "one process is enough; this one takes over when that one ends",
      cause: error,
    });
  }
}

function contentText({ epoch, state }: Content): string {
  const body = JSON.stringify({
    epoch,
    ...(state.network && { network: storedNetwork(state.network) }),
    nodes: state.records.map(storedRecord),
  });
  return `${JSON.stringify({ format: STORED_FORMAT, checksum: checksum(body) })}\n${body}\n`;
}

/** A missing file is an empty store; an empty or damaged one is an error, because it may have held allocations. */
function readContent(files: Files, path: string): Content {
  const bytes = files.read(path, LARGEST_FILE);
  if (bytes === undefined) return { epoch: 0, state: EMPTY };
  const newline = bytes.indexOf(10);
  if (newline < 0) throw unreadable(path, "it ends within its first line");
  const header = parseStored(bytes.subarray(0, newline), path);
  const body = new TextDecoder().decode(bytes.subarray(newline + 1)).trimEnd();
  if (header["checksum"] !== checksum(body)) throw unreadable(path, "its checksum does not fit its content");
  const { epoch, network, nodes } = JSON.parse(body);
  if (!Number.isSafeInteger(epoch) || epoch < 1 || !Array.isArray(nodes))
    throw unreadable(path, "epoch or nodes missing");
  const state = { network: network === undefined ? undefined : readNetwork(network), records: nodes.map(readRecord) };
  return { epoch, state };
}

function markOf(stat: FileStat | undefined): string {
  return stat === undefined ? "missing" : `${stat.device}:${stat.inode}:${stat.size}:${stat.modifiedNs}`;
}

function foreign(path: string, said: string): NetError {
  const remedy = "the stored state is read anew with the next leadership";
  return new NetError("conflict", { tried: `store allocations in ${path}`, said, remedy });
}
