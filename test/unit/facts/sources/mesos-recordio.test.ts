import { expect } from "chai";
import { encodeRecord, RecordDecoder } from "../../../../facts/sources/mesos-recordio.ts";
import { NetError } from "../../../../lib/error.ts";
import { describeWithFixtures, fixture, fixtureNames, fixtureText } from "../../../fake-mesos/fixtures.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function push(decoder: RecordDecoder, text: string): string[] {
  return [...decoder.push(encode(text))].map(decode);
}

function failure(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

describe("RecordDecoder", () => {
  it("gives records that end in a piece, empty ones too, and keeps the rest", () => {
    const decoder = new RecordDecoder(100);
    expect(push(decoder, "5\nhello0\n3\nab")).to.deep.equal(["hello", ""]);
    expect(decoder.atBorder).to.equal(false);
    expect(push(decoder, "c")).to.deep.equal(["abc"]);
    expect(decoder.atBorder).to.equal(true);
  });

  it("takes a length whose digits come one by one", () => {
    const decoder = new RecordDecoder(100);
    expect(["1", "1", "\n", "hello wor", "ld"].flatMap((text) => push(decoder, text))).to.deep.equal(["hello world"]);
  });

  for (const [name, text] of [
    ["a word", "not a number\n1\nx"],
    ["an empty line", "\n"],
    ["a sign", "-1\nx"],
    ["a space", " 1\nx"],
    ["hexadecimal", "0x10\n"],
    ["too many digits", "000000000000000000001\nx"],
    ["more than a record may have", "101\n"],
  ] as const) {
    it(`refuses ${name} as length, and everything that follows`, () => {
      const decoder = new RecordDecoder(100);
      expect(failure(() => push(decoder, text)))
        .to.be.instanceOf(NetError)
        .with.property("code", "invalid");
      expect(failure(() => push(decoder, "1\nx"))).to.be.instanceOf(NetError);
      expect(failure(() => push(decoder, ""))).to.be.instanceOf(NetError);
    });
  }

  it("gives the records before a bad length", () => {
    const got: string[] = [];
    expect(
      failure(() => {
        for (const record of new RecordDecoder(9).push(encode("1\na1\nb?"))) got.push(decode(record));
      }),
    ).to.be.instanceOf(NetError);
    expect(got).to.deep.equal(["a", "b"]);
  });

  it("refuses a record that is too large before its content comes, and takes one of exactly the limit", () => {
    expect(failure(() => push(new RecordDecoder(5), "6"))).to.be.instanceOf(NetError);
    expect(push(new RecordDecoder(5), "5\n12345")).to.deep.equal(["12345"]);
  });
});

describeWithFixtures("RecordDecoder on recorded vectors", () => {
  it("reads what Mesos' own tests read", () => {
    const vectors = JSON.parse(fixtureText("recordio/stout-vectors.json")) as {
      encoded?: string;
      records?: string[];
      chunks?: string[];
      records_per_chunk?: string[][];
      error?: string;
    }[];
    let seen = 0;
    for (const { encoded, records = [], chunks = [], records_per_chunk: perChunk, error } of vectors) {
      const decoder = new RecordDecoder(1000);
      if (encoded !== undefined) {
        expect(push(decoder, encoded)).to.deep.equal(records);
        expect(decode(Buffer.concat(records.map((record) => encodeRecord(encode(record)))))).to.equal(encoded);
      } else if (perChunk !== undefined) {
        expect(chunks.map((chunk) => push(decoder, chunk))).to.deep.equal(perChunk);
      } else if (error !== undefined) {
        for (const chunk of chunks) expect(failure(() => push(decoder, chunk))).to.be.instanceOf(NetError);
      }
      seen += 1;
    }
    expect(seen).to.equal(3);
  });

  for (const name of fixtureNames("mesos-live/streams", ".recordio")) {
    it(`gives the same records of ${name} wherever it is cut`, function () {
      this.timeout(60_000);
      const bytes = fixture(`mesos-live/streams/${name}`);
      const whole = [...new RecordDecoder(1e6).push(bytes)].map((record) => record.length);
      const lines = fixtureText(`mesos-live/streams/${name.replace(".recordio", ".jsonl")}`)
        .trim()
        .split("\n");
      expect(whole).to.have.length(lines.length);
      for (let cut = 1; cut < bytes.length; cut++) {
        const decoder = new RecordDecoder(1e6);
        const records = [...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut))];
        if (!records.every((record, index) => record.length === whole[index]) || records.length !== whole.length) {
          throw new Error(`other records when cut at ${cut}`);
        }
      }
    });
  }
});
