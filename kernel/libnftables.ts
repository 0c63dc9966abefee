import { cString } from "../lib/bytes.ts";
import { type ErrorCode, hasErrno, NetError } from "../lib/error.ts";
import { type LibNftables, libNftables, type NftContext } from "./ffi.ts";
import { NETLINK_NETFILTER, Netlink } from "./netlink.ts";
import { batchFrame, encodeCommands } from "./nft-batch.ts";
import { familyNumber, readAllRawElements, readChains, readElements, readSetTypes } from "./nft-dump.ts";
import { elementRequests } from "./nft-elements.ts";
import { readListing } from "./nft-json.ts";
import { readGeneration, readOutline } from "./nft-outline.ts";
import { openTableWatch } from "./nft-watch.ts";
import type { Nftables, NftElement, NftElementsChange } from "./nftables.ts";

/** libnftables prints the text of errno (strerror(3) of glibc in the C locale, the only one a program has that calls no
 *  setlocale), not its name. These are the refusals of nf_tables. */
const ERRNO_OF_TEXT: readonly (readonly [text: string, errno: string, code: ErrorCode])[] = [
  ["File exists", "EEXIST", "already-exists"],
  ["No such file or directory", "ENOENT", "not-found"],
  ["Device or resource busy", "EBUSY", "busy"],
  ["Operation not permitted", "EPERM", "permission"],
  ["Operation not supported", "EOPNOTSUPP", "unsupported"],
  ["Invalid argument", "EINVAL", "invalid"],
  ["Too many links", "EMLINK", "invalid"],
  ["syntax error", "EINVAL", "invalid"],
];

/** Longest piece of the commands and of nft's answer that an error repeats, in characters. */
const QUOTE_LIMIT = 400;

/** A context of libnftables, with the library. */
interface Writer {
  readonly library: LibNftables;
  readonly context: NftContext;
}

/** The most commands that are sent to the kernel directly, so that a batch stays far below what a socket takes at
 *  once. */
const DIRECT_LIMIT = 100;

/** nftables of the namespace that `enter` runs its action in. Nothing is loaded or opened before the first use: most
 *  CNI calls need no firewall.
 *
 *  The commands that make and remove what belongs to a container go to the kernel directly, because libnftables
 *  alone takes 3 ms to load and warm up, as long as the rest of an ADD; whatever `nft-batch.ts` doesn't know goes
 *  through libnftables. Reading is direct too: for a listing libnftables takes 9 µs an element and reads the whole
 *  table. A refused transaction costs some 15 ms either way (the kernel waits for all readers before it rolls back),
 *  so callers look first instead of trying. */
export function openNftables(enter: <T>(action: () => T) => T): Nftables & { close(): void } {
  let writer: Writer | undefined;
  let socket: Netlink | undefined;
  const library = () => {
    writer ??= openContext(enter);
    return writer;
  };
  const direct = () => {
    socket ??= enter(() => Netlink.open(NETLINK_NETFILTER));
    return socket;
  };
  const typesOf = (family: string, table: string, set: string) =>
    orMissing(() => readSetTypes(direct(), family, table, set));
  return {
    run(commands) {
      if (commands.length === 0) return;
      const requests = commands.length > DIRECT_LIMIT ? undefined : encodeCommands(commands, typesOf);
      if (requests === undefined) runText(library(), `${commands.join("\n")}\n`);
      else direct().transaction(requests, batchFrame());
    },
    elements: (family, table, set) =>
      orMissing(() => {
        const types = readSetTypes(direct(), family, table, set);
        if (types === undefined) return listElements(library(), family, table, set);
        return readElements(direct(), family, table, set, types);
      }),
    chains: (family, table) => orMissing(() => readChains(direct(), family, table)),
    table: (family, table) => orMissing(() => runText(library(), `list table ${family} ${table}\n`)),
    changeElements(family, table, changes) {
      const tried = (change: NftElementsChange) =>
        `${change.do} ${change.elements.length} elements of set ${family} ${table} ${change.set}`;
      direct().transaction(elementRequests(familyNumber(family), table, changes, tried), batchFrame());
    },
    rawElements: (family, table, set) => orMissing(() => readAllRawElements(direct(), family, table, set)),
    watch: (family, table) => enter(() => openTableWatch(familyNumber(family), table)),
    generation: () => readGeneration(direct()),
    outline: (family, table) => orMissing(() => readOutline(direct(), familyNumber(family), table)),
    close() {
      if (writer !== undefined) writer.library.freeContext(writer.context);
      socket?.close();
      writer = undefined;
      socket = undefined;
    },
  };
}

function openContext(enter: <T>(action: () => T) => T): Writer {
  const library = libNftables();
  const context = enter(() => library.newContext());
  if (context === undefined) {
    throw new NetError("kernel", { tried: "open nftables", said: "no netlink socket", remedy: "run as root" });
  }
  return { library, context };
}

/** Runs `text` as one transaction and returns what it printed. */
function runText({ library, context }: Writer, text: string): string {
  const status = library.run(context, cString(text));
  if (status !== 0) throw refusal(text, library.errors(context));
  return library.output(context);
}

function refusal(text: string, errors: string): NetError {
  const said = errors.trim() === "" ? "nft gave no reason" : errors.trim();
  const known = ERRNO_OF_TEXT.find(([phrase]) => said.includes(phrase));
  return new NetError(known?.[2] ?? "kernel", {
    tried: `run nft ${quote(text.trim())}`,
    said: quote(said),
    ...(known === undefined ? {} : { errno: known[1] }),
  });
}

function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= QUOTE_LIMIT ? line : `${line.slice(0, QUOTE_LIMIT)}…`;
}

function orMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** The slow reading, for sets that the dump can't put into words: intervals, marks and so on. */
function listElements(nft: Writer, family: string, table: string, set: string): NftElement[] {
  nft.library.setJsonOutput(nft.context, true);
  try {
    // To libnftables maps are no sets, and the caller doesn't say which it means.
    const listing = orMissing(() => runText(nft, `list set ${family} ${table} ${set}\n`));
    return readListing(JSON.parse(listing ?? runText(nft, `list map ${family} ${table} ${set}\n`)));
  } finally {
    nft.library.setJsonOutput(nft.context, false);
  }
}
