import { CNI_ERROR, CniError } from "./error.ts";

/** Parses CNI_ARGS, `KEY=VALUE;KEY=VALUE`, with the strictness of the Go library's LoadArgs: keys are
 *  case-sensitive, a pair has exactly one `=`, and a key outside of `known` is an error unless `IgnoreUnknown=1` or
 *  `=true` stands anywhere (Kubernetes always sends it). Of a repeated key the last counts. The convention is
 *  deprecated: `args` of the configuration wins over it. Only plugins that use arguments call this; the others
 *  ignore whatever the variable holds. Throws code 4. */
export function parseArguments(text: string, known: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const unknown: string[] = [];
  let ignoreUnknown = false;
  for (const pair of text === "" ? [] : text.split(";")) {
    const [key = "", value, ...excess] = pair.split("=");
    if (value === undefined || excess.length > 0) throw refused(`invalid pair ${JSON.stringify(pair)}`);
    if (key === "IgnoreUnknown") ignoreUnknown = parseFlag(pair, value);
    else if (known.includes(key)) values.set(key, value);
    else unknown.push(pair);
  }
  if (unknown.length === 0 || ignoreUnknown) return values;
  throw refused(`unknown args [${unknown.map((pair) => JSON.stringify(pair)).join(" ")}]`);
}

function parseFlag(pair: string, value: string): boolean {
  if (/^(1|true)$/i.test(value)) return true;
  if (/^(0|false)$/i.test(value)) return false;
  throw refused(`error parsing value of pair ${JSON.stringify(pair)}`, "IgnoreUnknown takes 1, true, 0 or false");
}

function refused(message: string, details?: string): CniError {
  return new CniError(CNI_ERROR.invalidEnvironment, `CNI_ARGS: ${message}`, details);
}
