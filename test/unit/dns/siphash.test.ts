import { expect } from "chai";
import { sipHash24 } from "../../../dns/siphash.ts";
import { toHex } from "../../../lib/bytes.ts";

describe("SipHash-2-4", () => {
  // Of the paper's appendix A and the vectors of its reference implementation: key 00 01 … 0f, message 00 01 … n-1.
  for (const [length, hash] of [
    [0, "310e0edd47db6f72"],
    [7, "37d1018bf50002ab"],
    [8, "6224939a79f5f593"],
    [15, "e545be4961ca29a1"],
  ] as const) {
    it(`of ${length} bytes is as published`, () => {
      const upTo = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => index);
      expect(toHex(sipHash24(upTo(16), upTo(length)))).to.equal(hash);
    });
  }
});
