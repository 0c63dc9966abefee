import type { Netns } from "../kernel/kernel.ts";
import { messageOf } from "../lib/error.ts";
import { readAttachments } from "./attachment.ts";
import { asText, child, type Decode, optional, parseConfig, unexpected } from "./config.ts";
import { checkNetworkName, type Environment } from "./environment.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import type { Call, CallRecord, Host, Plugin } from "./protocol.ts";
import { formatResult } from "./result.ts";
import { negotiateVersion, requireVerb, type Verb } from "./version.ts";

/** Largest standard input accepted, in bytes. A configuration has a few hundred; GC lists about 120 for each
 *  attachment, so that eight thousand containers on one node fit. */
export const STDIN_LIMIT = 1 << 20;

/** Carries out a call other than VERSION and returns what belongs on standard output. */
export function answer(plugin: Plugin, environment: Environment, host: Host, record: CallRecord): string {
  const call = readCall(environment, host, record);
  const netns = call.netnsPath === "" || !usesNetns(call.verb) ? undefined : host.kernel().openNetns(call.netnsPath);
  try {
    refuseOwnNetns(call, netns, host);
    return dispatch(plugin, { ...call, netns }, host);
  } finally {
    netns?.close();
  }
}

function usesNetns(verb: Verb): boolean {
  return verb === "ADD" || verb === "DEL" || verb === "CHECK";
}

/** Reads and judges standard input. Nothing has been changed when it throws. */
function readCall(environment: Environment, host: Host, record: CallRecord): Omit<Call, "netns"> {
  const { text, config } = parseConfig(readStdin(host));
  const network = optional(config, "name", orUndecodable(asText)) ?? "";
  checkNetworkName(network);
  record.network = network;
  const version = negotiateVersion(optional(config, "cniVersion", orUndecodable(asText)));
  record.version = version;
  requireVerb(environment.verb, version);
  const logFile = optional(child(config, "dcosNet"), "logFile", asAbsolutePath);
  if (logFile !== undefined) record.logFile = logFile;
  const attachments = environment.verb === "GC" ? readAttachments(config) : undefined;
  const note = (sentence: string) => void record.notes.push(sentence);
  return { ...environment, network, version, config, stdin: text, attachments, note };
}

function readStdin(host: Host): Uint8Array {
  try {
    return host.readStdin(STDIN_LIMIT);
  } catch (error) {
    throw new CniError(CNI_ERROR.io, messageOf(error));
  }
}

/** A `name` or `cniVersion` of the wrong type is a decoding error (code 6) for the Go skeleton, and libcni's users
 *  know it so. */
function orUndecodable<T>(decode: Decode<T>): Decode<T> {
  return (value, at) => {
    try {
      return decode(value, at);
    } catch (error) {
      throw new CniError(CNI_ERROR.decoding, messageOf(error));
    }
  };
}

const asAbsolutePath: Decode<string> = (value, at) => {
  const path = asText(value, at);
  if (!/^\/[^\0]*$/.test(path) || path.length > 4095) throw unexpected(value, at, "an absolute path");
  return path;
};

/** Throws code 8 when the container's namespace is the one that the runtime lives in, where ADD and DEL would change
 *  the host's own interfaces. The Go library looks only after the plugin has done so. */
function refuseOwnNetns(call: Omit<Call, "netns">, netns: Netns | undefined, host: Host): void {
  if (netns === undefined || call.netnsOverride || call.verb === "CHECK") return;
  const own = host.kernel().netns();
  own.close();
  if (netns.id !== own.id) return;
  throw new CniError(
    CNI_ERROR.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
    `CNI_NETNS is ${call.netnsPath}`,
  );
}

/** Only ADD prints on success. */
function dispatch(plugin: Plugin, call: Call, host: Host): string {
  switch (call.verb) {
    case "ADD":
      return formatResult(plugin.add(call, host), call.version);
    case "DEL":
      plugin.del(call, host);
      break;
    case "CHECK":
      plugin.check?.(call, host);
      break;
    case "GC":
      if (call.attachments === undefined)
        call.note("the runtime gave no list of valid attachments: nothing was removed");
      else plugin.gc?.(call, host);
      break;
    case "STATUS":
      plugin.status?.(call, host);
  }
  return "";
}
