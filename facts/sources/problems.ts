import type { NetError } from "../../lib/error.ts";

/** Tells each problem once, until it reads differently or has been gone in between. */
export class Problems {
  readonly #told = new Map<string, string>();
  readonly #tell: (error: NetError) => void;

  constructor(tell: (error: NetError) => void) {
    this.#tell = tell;
  }

  /** `subject` is what the problem is about: there is one problem at a time with each. */
  note(subject: string, error: NetError): void {
    if (this.#told.get(subject) === error.message) return;
    this.#told.set(subject, error.message);
    this.#tell(error);
  }

  gone(subject: string): void {
    this.#told.delete(subject);
  }
}
