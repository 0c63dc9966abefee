import { arrayOf, asSection, asText, type Decode, optional } from "./config.ts";
import type { ResultDns } from "./result.ts";

/** Decodes a `dns` object, of a result or of a configuration; a list that is absent stays absent. */
export const asDns: Decode<ResultDns> = (value, at) => {
  const dns = asSection(value, at);
  return {
    nameservers: optional(dns, "nameservers", arrayOf(asText)),
    domain: optional(dns, "domain", asText),
    search: optional(dns, "search", arrayOf(asText)),
    options: optional(dns, "options", arrayOf(asText)),
  };
};
