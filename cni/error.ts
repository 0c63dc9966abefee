import { type ErrorCode, messageOf, NetError } from "../lib/error.ts";

/** Error codes of CNI, specification 1.1.0 section "Error", and one of the Go library (8). */
export const CNI_ERROR = {
  incompatibleVersion: 1,
  /** The message must hold the key and its value. */
  unsupportedField: 2,
  /** The runtime need not clean up. */
  unknownContainer: 3,
  /** The message must name the variables. */
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  /** STATUS: ADD can't be served. */
  unavailable: 50,
} as const;

/** Codes of our own. The specification leaves 100 and up to plugins; ours begin at 110 because the
 *  mesos-cni-port-mapper of Mesos gave 100 to 104 meanings that operators may have written down. The list is closed. */
export const OWN_ERROR = {
  /** A mistake in this program. */
  internal: 110,
  /** No free address, no free name. */
  exhausted: 111,
  /** Somebody else holds what was asked for: a host port, an address. */
  conflict: 112,
  /** The object to be made is there already: the interface, the lease. */
  alreadyExists: 113,
  /** CHECK or an operation misses an object: an interface, an address, a rule, a plugin. */
  notFound: 114,
  /** The kernel refused for a reason not listed here. */
  kernel: 115,
  /** Not root, or forbidden by the host. */
  permission: 116,
  /** A delegated plugin failed without the error document that it owes. */
  plugin: 117,
} as const;

/** A failure that already has its CNI code. Throw a NetError where none is prescribed: {@link toCniError} numbers
 *  it. */
export class CniError extends Error {
  readonly code: number;
  readonly details: string | undefined;

  constructor(code: number, message: string, details?: string) {
    super(message);
    this.name = "CniError";
    this.code = code;
    this.details = details;
  }
}

const NUMBERS: Readonly<Record<ErrorCode, number>> = {
  "already-exists": OWN_ERROR.alreadyExists,
  busy: CNI_ERROR.tryAgainLater,
  conflict: OWN_ERROR.conflict,
  exhausted: OWN_ERROR.exhausted,
  internal: OWN_ERROR.internal,
  invalid: CNI_ERROR.invalidConfig,
  io: CNI_ERROR.io,
  kernel: OWN_ERROR.kernel,
  "not-found": OWN_ERROR.notFound,
  permission: OWN_ERROR.permission,
  timeout: CNI_ERROR.tryAgainLater,
  unavailable: CNI_ERROR.tryAgainLater,
  unsupported: CNI_ERROR.unsupportedField,
};

/** What keeps a node from serving ADD: for STATUS all of it is code 50, whatever the call would have answered. */
const BLOCKS_ADD: readonly ErrorCode[] = ["busy", "exhausted", "timeout", "unavailable"];

/** The CNI form of anything that can be thrown; the one place where a NetError gets its number. The remedy becomes
 *  the details: the Go library prints both, parted by a semicolon. Of several errors (an AggregateError) the first
 *  gives the code and all give the message. */
export function toCniError(error: unknown, verb: string): CniError {
  if (error instanceof CniError) return error;
  if (error instanceof NetError) {
    const code = verb === "STATUS" && BLOCKS_ADD.includes(error.code) ? CNI_ERROR.unavailable : NUMBERS[error.code];
    const said = error.said === undefined ? "" : `: ${error.said}`;
    return new CniError(code, `cannot ${error.tried}${said}`, error.remedy);
  }
  if (error instanceof AggregateError && error.errors.length > 0) {
    const parts = error.errors.map((part) => toCniError(part, verb));
    const message = parts.map((part) => part.message).join("; ");
    return new CniError(parts[0]?.code ?? OWN_ERROR.internal, message, parts[0]?.details);
  }
  return new CniError(OWN_ERROR.internal, `internal error: ${messageOf(error)}`);
}

/** The error document of the specification, which goes to standard output. */
export function formatError(error: CniError, cniVersion: string): string {
  const details = error.details === undefined || error.details === "" ? {} : { details: error.details };
  return JSON.stringify({ cniVersion, code: error.code, msg: error.message, ...details }, null, 4);
}
