import { expect } from "chai";
import { decodeQuery } from "../../../dns/message.ts";
import { queryBytes } from "../../support/dns.ts";

describe("a question whose name points into the header", () => {
  it("is malformed: in the answer it would be another one", () => {
    const good = queryBytes("a.zk", "A", 0);
    // The root at the name's end becomes a pointer to the first byte of the message, which is 0.
    const nameEnd = good.length - 5;
    const bytes = Uint8Array.from([...good.subarray(0, nameEnd), 0xc0, 0, ...good.subarray(nameEnd + 1)]);
    expect(decodeQuery(bytes)).to.deep.include({ outcome: "refused", rcode: 1 });
  });
});
