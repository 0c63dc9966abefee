import { encodeRecord } from "../../facts/sources/mesos-recordio.ts";
import type { Json } from "./json.ts";

/** The body of a streaming answer that is written to from outside. */
export class OpenStream {
  readonly body: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  /** `onClose` is called when the reader has gone. */
  constructor(onClose: () => void) {
    this.body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.#controller = undefined;
        onClose();
      },
    });
  }

  record(event: Json): void {
    this.bytes(encodeRecord(new TextEncoder().encode(JSON.stringify(event))));
  }

  bytes(bytes: Uint8Array): void {
    this.#controller?.enqueue(bytes);
  }

  end(): void {
    this.#controller?.close();
    this.#controller = undefined;
  }
}
