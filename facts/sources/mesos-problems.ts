import type { NetError } from "../../lib/error.ts";

/** As many problems as are remembered; beyond that all may be told again. */
const MOST = 1024;

/** Passes a problem on once, until it changes or {@link Problems.clear} says that it went away. */
export class Problems {
  readonly #tell: (error: NetError) => void;
  readonly #told = new Map<string, string>();

  constructor(tell: (error: NetError) => void) {
    this.#tell = tell;
  }

  /** `topic` says what it is about: a new message for the same topic is a changed problem. */
  report(topic: string, error: NetError): void {
    if (this.#told.get(topic) === error.message) return;
    if (this.#told.size >= MOST) this.#told.clear();
    this.#told.set(topic, error.message);
    this.#tell(error);
  }

  clear(topic: string): void {
    this.#told.delete(topic);
  }

  /** Reports `error`, or clears the topic when there is none. */
  set(topic: string, error: NetError | undefined): void {
    if (error === undefined) this.clear(topic);
    else this.report(topic, error);
  }
}
