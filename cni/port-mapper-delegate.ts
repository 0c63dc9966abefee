import { asSection, asText, field, optional, required } from "./config.ts";
import { delegate, delegateAdd } from "./delegate.ts";
import type { Call, Host, Plugin } from "./protocol.ts";
import type { Result } from "./result.ts";
import { negotiateVersion } from "./version.ts";

/** The plugin that connects the container for the port mapper. */
export interface MapperDelegate {
  add(host: Host): Result;
  run(verb: "DEL" | "CHECK" | "GC" | "STATUS", host: Host): void;
}

/** What a delegate gets of the outer configuration besides its own object, unless it says otherwise there. Mesos'
 *  own mapper passes `args` only; the rest is what the verbs that it doesn't know need. */
const PASSED_ON = [
  "args",
  "cniVersion",
  "runtimeConfig",
  "prevResult",
  "cni.dev/valid-attachments",
  "cni.dev/attachments",
];

/** Reads the `delegate` object: run here if `inProcess` knows its type, else as a program of CNI_PATH. Throws
 *  `invalid`. */
export function readDelegate(call: Call, inProcess: (type: string) => Plugin | undefined): MapperDelegate {
  const section = required(call.config, "delegate", asSection);
  const type = required(section, "type", asText);
  const passed = PASSED_ON.flatMap((key) => {
    const value = field(call.config, key);
    return value === undefined || field(section, key) !== undefined ? [] : [[key, value]];
  });
  const fields = { ...section.fields, ...Object.fromEntries(passed), name: call.network };
  const version = optional(section, "cniVersion", asText);
  const inner: Call = {
    ...call,
    version: version === undefined ? call.version : negotiateVersion(version),
    config: { at: "", fields },
    stdin: JSON.stringify(fields),
  };
  const plugin = inProcess(type);
  if (plugin === undefined) {
    return {
      add: (host) => delegateAdd(inner, host, type),
      run: (verb, host) => delegate(verb, inner, host, type),
    };
  }
  return {
    add: (host) => plugin.add(inner, host),
    run: (verb, host) => METHOD[verb](plugin)?.(inner, host),
  };
}

const METHOD = {
  DEL: (plugin: Plugin) => plugin.del,
  CHECK: (plugin: Plugin) => plugin.check,
  GC: (plugin: Plugin) => plugin.gc,
  STATUS: (plugin: Plugin) => plugin.status,
} as const;
