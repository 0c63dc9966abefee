import { expect } from "chai";
import fc from "fast-check";
import { encodeRecord, RecordDecoder } from "../../facts/sources/mesos-recordio.ts";
import { NetError } from "../../lib/error.ts";

const LIMIT = 300;

/** Cuts bytes into pieces at the given places. */
function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const borders = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return borders.slice(1).map((end, index) => bytes.subarray(borders[index], end));
}

const records = fc.array(fc.uint8Array({ maxLength: LIMIT }), { maxLength: 20 });
const cuts = fc.array(fc.nat(), { maxLength: 30 });

/** Records until the end or the first failure. */
function read(decoder: RecordDecoder, input: readonly Uint8Array[]): { got: Uint8Array[]; error: unknown } {
  const got: Uint8Array[] = [];
  try {
    for (const piece of input) for (const record of decoder.push(piece)) got.push(Uint8Array.from(record));
    return { got, error: undefined };
  } catch (error) {
    return { got, error };
  }
}

describe("RecordIO under fuzzing", () => {
  it("gives back what was encoded, however it was cut", () => {
    fc.assert(
      fc.property(records, cuts, (contents, places) => {
        const bytes = Buffer.concat(contents.map(encodeRecord));
        const decoder = new RecordDecoder(LIMIT);
        const { got, error } = read(decoder, pieces(bytes, places));
        expect(error).to.equal(undefined);
        expect(got.map((record) => record.toHex())).to.deep.equal(contents.map((content) => content.toHex()));
        expect(decoder.atBorder).to.equal(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("fails only with a NetError, and the same way however the bytes were cut", () => {
    const garbage = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.stringMatching(/^[0-9\n ax-]{0,60}$/).map(toBytes));
    fc.assert(
      fc.property(records, garbage, cuts, (contents, tail, places) => {
        const bytes = Buffer.concat([...contents.map(encodeRecord), tail]);
        const whole = read(new RecordDecoder(LIMIT), [bytes]);
        const cut = read(new RecordDecoder(LIMIT), pieces(bytes, places));
        if (whole.error !== undefined) expect(whole.error).to.be.instanceOf(NetError);
        expect(String(cut.error)).to.equal(String(whole.error));
        expect(cut.got.map((record) => record.toHex())).to.deep.equal(whole.got.map((record) => record.toHex()));
        expect(whole.got.every((record) => record.length <= LIMIT)).to.equal(true);
      }),
      { numRuns: 5_000 },
    );
  });
});

function toBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
