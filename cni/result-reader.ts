import {
  asInteger,
  asIp,
  asPrefix,
  asSection,
  asText,
  type Decode,
  listOf,
  optional,
  required,
  type Section,
} from "./config.ts";
import { CNI_ERROR, CniError } from "./error.ts";
import type { Result, ResultInterface, ResultIp, ResultRoute } from "./result.ts";
import { asDns } from "./result-dns.ts";
import { CNI_VERSIONS, type CniVersion, isAtLeast } from "./version.ts";

const UINT32_MAX = 0xffffffff;

/** The `prevResult` of a configuration; undefined when there is none. It may be of any released version: the
 *  reference insists on one of the same generation as the configuration. Throws code 7 `could not parse prevResult`. */
export function readPrevResult(config: Section, version: CniVersion): Result | undefined {
  try {
    return optional(config, "prevResult", (value, at) => readResult(asSection(value, at), version));
  } catch (error) {
    const details = error instanceof Error ? error.message : undefined;
    throw new CniError(CNI_ERROR.invalidConfig, "could not parse prevResult", details);
  }
}

/** Reads a result of any version; one that names none is of version `assumed`. Reads leniently: lists may be missing
 *  or null, an interface index that points nowhere (−1 from some runtimes) counts as absent, unknown keys are
 *  dropped. Throws `invalid`. */
export function readResult(document: Section, assumed: CniVersion): Result {
  const version = optional(document, "cniVersion", asVersion) ?? assumed;
  const dns = optional(document, "dns", asDns) ?? {};
  if (!isAtLeast(version, "0.3.0")) return { ...readFamilies(document), dns };
  const interfaces = listOf(document, "interfaces", asInterface);
  const ips = listOf(document, "ips", asAddress(interfaces.length));
  return { interfaces, ips, routes: listOf(document, "routes", asRoute), dns };
}

function readFamilies(document: Section): Omit<Result, "dns"> {
  const families = [optional(document, "ip4", asSection), optional(document, "ip6", asSection)];
  const present = families.filter((family) => family !== undefined);
  return {
    interfaces: [],
    ips: present.map((family) => ({
      address: required(family, "ip", asPrefix),
      gateway: optional(family, "gateway", asIp),
    })),
    routes: present.flatMap((family) => listOf(family, "routes", asRoute)),
  };
}

const asVersion: Decode<CniVersion> = (value, at) => {
  const text = asText(value, at);
  const version = CNI_VERSIONS.find((candidate) => candidate === text);
  if (version !== undefined) return version;
  throw new CniError(
    CNI_ERROR.decoding,
    `${at} is ${JSON.stringify(text.slice(0, 100))}, which is no released version`,
  );
};

const asSize = asInteger(0, UINT32_MAX);

const asInterface: Decode<ResultInterface> = (value, at) => {
  const link = asSection(value, at);
  return {
    name: required(link, "name", asText),
    mac: optional(link, "mac", asText),
    mtu: optional(link, "mtu", asSize),
    sandbox: optional(link, "sandbox", asText),
    socketPath: optional(link, "socketPath", asText),
    pciID: optional(link, "pciID", asText),
  };
};

function asAddress(interfaceCount: number): Decode<ResultIp> {
  return (value, at) => {
    const ip = asSection(value, at);
    const index = optional(ip, "interface", asInteger(-UINT32_MAX, UINT32_MAX));
    return {
      address: required(ip, "address", asPrefix),
      gateway: optional(ip, "gateway", asIp),
      interface: index !== undefined && index >= 0 && index < interfaceCount ? index : undefined,
    };
  };
}

const asRoute: Decode<ResultRoute> = (value, at) => {
  const route = asSection(value, at);
  return {
    dst: required(route, "dst", asPrefix),
    gw: optional(route, "gw", asIp),
    mtu: optional(route, "mtu", asSize),
    advmss: optional(route, "advmss", asSize),
    priority: optional(route, "priority", asSize),
    table: optional(route, "table", asSize),
    scope: optional(route, "scope", asInteger(0, 255)),
  };
};
