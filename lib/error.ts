/** Every code a {@link NetError} can carry. Closed on purpose: an edge (CNI, Docker, the command line) translates each
 *  one once, and a new code must be added here before anything can throw it. */
export type ErrorCode =
  | "already-exists"
  | "busy"
  | "conflict"
  | "exhausted"
  | "internal"
  | "invalid"
  | "io"
  | "kernel"
  | "not-found"
  | "permission"
  | "timeout"
  | "unavailable"
  | "unsupported";

export interface NetErrorDetails {
  /** What was tried, as a verb phrase: `add route 10.0.0.0/8 via 10.1.0.1`. */
  readonly tried: string;
  /** What the other side said, in its own words: errno name, kernel text, file system error. */
  readonly said?: string;
  /** What the operator can do about it. */
  readonly remedy?: string;
  /** errno name (`EEXIST`) when a system call or the kernel refused. */
  readonly errno?: string;
  readonly cause?: unknown;
}

/** The one error class for failures of the outside world. Our own mistakes are assertions, not NetErrors. */
export class NetError extends Error {
  readonly code: ErrorCode;
  readonly tried: string;
  readonly said: string | undefined;
  readonly remedy: string | undefined;
  readonly errno: string | undefined;

  constructor(code: ErrorCode, details: NetErrorDetails) {
    super(sentence(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "NetError";
    this.code = code;
    this.tried = details.tried;
    this.said = details.said;
    this.remedy = details.remedy;
    this.errno = details.errno;
  }
}

function sentence({ tried, said, remedy }: NetErrorDetails): string {
  const first = said === undefined ? `cannot ${tried}` : `cannot ${tried}: ${said}`;
  return remedy === undefined ? first : `${first}; ${remedy}`;
}

/** True for a NetError with this errno name, the only test that features make on kernel answers. */
export function hasErrno(error: unknown, errno: string): boolean {
  return error instanceof NetError && error.errno === errno;
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
