import type { DnsRecord, RecordData } from "../../dns/record.ts";
import type { Zones } from "../../dns/zones.ts";

/** Size of one piece of the stream, bytes: so much is in memory at a time. */
const PIECE_BYTES = 32_768;
/** Room that the longest record needs: two names of 255 bytes, each written with five characters (`\\255` for one byte)
 *  at most, and what is around them. */
const RECORD_MOST = 3200;

/** All address and service records of the local zones as one JSON list, made while it is read: each piece in a turn of
 *  the event loop of its own, so that queries are answered in between. Records that come or go meanwhile may be in it
 *  or not. */
export function recordStream({ zones }: { readonly zones: Pick<Zones, "records"> }): ReadableStream<Uint8Array> {
  const records = zones.records();
  // One for all pieces: with a million records, garbage would otherwise come to a large part of the process.
  const piece = new Piece();
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    await Bun.sleep(0);
    const isEnd = piece.fill(records);
    controller.enqueue(piece.take());
    if (isEnd) controller.close();
  };
  return new ReadableStream({ pull }, { highWaterMark: 0 });
}

/** A part of the list, written byte by byte without texts in between. */
class Piece {
  readonly #bytes = Buffer.alloc(PIECE_BYTES);
  #length = 0;
  #isFirst = true;

  /** Writes as many records as there is room for; true when there are no more, and the list is closed. */
  fill(records: Iterator<DnsRecord>): boolean {
    while (this.#length < PIECE_BYTES - RECORD_MOST) {
      const next = records.next();
      if (next.done === true) {
        this.#write(this.#isFirst ? "[]\n" : "]\n");
        return true;
      }
      this.#record(next.value);
    }
    return false;
  }

  /** What was written since the last time. */
  take(): Uint8Array {
    const taken = Uint8Array.prototype.slice.call(this.#bytes, 0, this.#length);
    this.#length = 0;
    return taken;
  }

  #record({ name, data }: DnsRecord): void {
    const host = hostOf(data);
    if (host === undefined) return;
    this.#write(this.#isFirst ? '[{"name":"' : ',\n{"name":"');
    this.#isFirst = false;
    this.#writeQuoted(name);
    this.#write('","rtype":"');
    this.#write(data.type);
    this.#write('","host":"');
    this.#writeQuoted(host);
    this.#write('"}');
  }

  #writeQuoted(text: string): void {
    this.#write(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(text) ? text : JSON.stringify(text).slice(1, -1));
  }

  #write(text: string): void {
    this.#length += this.#bytes.write(text, this.#length);
  }
}

/** As DC/OS: an address, or target and port of a service; other types aren't shown. */
function hostOf(data: RecordData): string | undefined {
  if (data.type === "SRV") return `${data.target}:${data.port}`;
  return "address" in data ? data.address : undefined;
}
