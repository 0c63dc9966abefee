import { expect } from "chai";
import { decodeQuery } from "../../../dns/message.ts";
import { queryBytes } from "../../support/dns.ts";

/** The query with some bytes replaced. */
function altered(message: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  const copy = Uint8Array.from(message);
  copy.set(bytes, at);
  return copy;
}

function verdict(message: Uint8Array): string {
  const decoded = decodeQuery(message);
  return decoded.outcome === "refused" ? `refused ${decoded.rcode}` : decoded.outcome;
}

describe("a query", () => {
  const plain = queryBytes("a.mesos", "A");
  const edns = queryBytes("a.mesos", "A", 7, 100);

  it("is read with its EDNS, whose size is 512 at least", () => {
    const decoded = decodeQuery(edns);
    if (decoded.outcome !== "query") throw new Error(decoded.outcome);
    expect(decoded.query).to.deep.include({ id: 7, name: "a.mesos", type: 1 });
    expect(decoded.query.edns?.size).to.equal(512);
  });

  it("that is an answer, or shorter than a header, gets no answer", () => {
    expect(verdict(altered(plain, 2, 0x81))).to.equal("dropped");
    expect(verdict(plain.subarray(0, 11))).to.equal("dropped");
  });

  it("is FORMERR when it is cut, too long, or has not one question", () => {
    expect(verdict(plain.subarray(0, plain.length - 1))).to.equal("refused 1");
    expect(verdict(Uint8Array.from([...plain, 0]))).to.equal("refused 1");
    expect(verdict(altered(plain, 4, 0, 2))).to.equal("refused 1");
    expect(verdict(altered(plain, 4, 0, 0))).to.equal("refused 1");
  });

  it("of another opcode is NOTIMP, of another class REFUSED, of another EDNS version BADVERS", () => {
    expect(verdict(altered(plain, 2, 0x28))).to.equal("refused 4");
    expect(verdict(altered(plain, plain.length - 1, 3))).to.equal("refused 5");
    expect(verdict(altered(edns, edns.length - 5, 1))).to.equal("refused 16");
  });
});
