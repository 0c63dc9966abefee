import { CNI_ERROR, CniError } from "./error.ts";

/** Released versions of the specification, oldest first; all are served. */
export const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** One of {@link CNI_VERSIONS}. */
export type CniVersion = (typeof CNI_VERSIONS)[number];

/** What VERSION answers, and errors that come before the version is known. */
export const NEWEST_VERSION: CniVersion = "1.1.0";

/** The verbs, each with the version that brought it. */
const SINCE = {
  ADD: "0.1.0",
  DEL: "0.1.0",
  VERSION: "0.1.0",
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
} as const satisfies Readonly<Record<string, CniVersion>>;

/** A value of CNI_COMMAND. */
export type Verb = keyof typeof SINCE;

/** True for the verbs, which are upper-case. */
export function isVerb(text: string): text is Verb {
  return Object.hasOwn(SINCE, text);
}

/** The version of a configuration, which must equal a released one: there is no range logic on the plugin's side. A
 *  configuration without a version is of 0.1.0, as for the Go skeleton; Mesos leaves it out. Throws code 1. */
export function negotiateVersion(configured: string | undefined): CniVersion {
  if (configured === undefined) return "0.1.0";
  const version = CNI_VERSIONS.find((candidate) => candidate === configured);
  if (version !== undefined) return version;
  const supported = CNI_VERSIONS.map((candidate) => JSON.stringify(candidate)).join(" ");
  throw new CniError(
    CNI_ERROR.incompatibleVersion,
    "incompatible CNI versions",
    `config is ${JSON.stringify(configured.slice(0, 100))}, plugin supports [${supported}]`,
  );
}

/** True when `version` is `least` or newer. */
export function isAtLeast(version: CniVersion, least: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(least);
}

/** Throws code 1 when the configuration's version is older than the verb. */
export function requireVerb(verb: Verb, version: CniVersion): void {
  if (isAtLeast(version, SINCE[verb])) return;
  throw new CniError(
    CNI_ERROR.incompatibleVersion,
    `config version does not allow ${verb}`,
    `config is ${JSON.stringify(version)}, ${verb} came with ${JSON.stringify(SINCE[verb])}`,
  );
}

/** The answer to VERSION. It names the newest version that we know rather than echoing the caller's, as the Go
 *  library does, so that VERSION need not read its input. */
export function versionAnswer(): string {
  return `${JSON.stringify({ cniVersion: NEWEST_VERSION, supportedVersions: CNI_VERSIONS })}\n`;
}
