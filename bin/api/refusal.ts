import { type ErrorCode, NetError, type NetErrorDetails } from "../../lib/error.ts";

/** A request that the HTTP layer or a route refuses with a status of its own. */
export class Refusal extends NetError {
  readonly status: number;
  /** Headers that the status demands: `Allow`, `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, details: NetErrorDetails, headers: Refusal["headers"] = {}) {
    super(code, details);
    this.name = "Refusal";
    this.status = status;
    this.headers = headers;
  }
}

/** What every answer that is no success looks like. */
export interface ErrorBody {
  readonly error: {
    readonly code: ErrorCode;
    readonly tried: string;
    readonly said?: string;
    readonly remedy?: string;
  };
}

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** HTTP status (RFC 9110, section 15) of each kind of failure, where no route says otherwise. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  "already-exists": 409,
  busy: 409,
  conflict: 409,
  exhausted: 503,
  internal: 500,
  invalid: 400,
  io: 500,
  kernel: 500,
  "not-found": 404,
  permission: 403,
  timeout: 504,
  unavailable: 503,
  unsupported: 501,
};

/** The answer to a request that failed with `error`; undefined when that is our own mistake, whose details are not for
 *  the asker. */
export function errorAnswer(error: unknown): ErrorAnswer | undefined {
  if (!(error instanceof NetError)) return undefined;
  const { code, tried, said, remedy } = error;
  const shown = {
    code,
    tried,
    ...(said === undefined ? {} : { said }),
    ...(remedy === undefined ? {} : { remedy }),
  };
  const own = error instanceof Refusal;
  return { status: own ? error.status : STATUS[code], headers: own ? error.headers : {}, body: { error: shown } };
}

/** The answer when the program itself is wrong; the log has the stack. */
export function mistakeAnswer(tried: string): ErrorAnswer {
  const said = "a mistake in the program";
  const remedy = "see the agent's log, and report it";
  return { status: 500, headers: {}, body: { error: { code: "internal", tried, said, remedy } } };
}
