import { expect } from "chai";
import fc from "fast-check";
import { parsePublish } from "../../../../bin/lab/ports.ts";
import { formatPort } from "../../../../bin/lab/status.ts";
import { NetError } from "../../../../lib/error.ts";

describe("published ports", () => {
  it("are read with and without address and protocol", () => {
    expect(parsePublish("8080:80")).to.deep.equal({ hostPort: 8080, containerPort: 80, protocol: "tcp" });
    expect(parsePublish("127.0.0.1:53:5353/udp")).to.deep.equal({
      hostPort: 53,
      containerPort: 5353,
      protocol: "udp",
      hostIP: "127.0.0.1",
    });
    expect(parsePublish("[fd77::1]:9:9/sctp").hostIP).to.equal("fd77::1");
  });

  for (const text of ["", "80", "0:80", "80:65536", "a:b", "80:80/icmp", "nowhere:80:80", "[fd77::1:80:80", ":80:80"]) {
    it(`refuse ${JSON.stringify(text)}`, () => {
      expect(() => parsePublish(text)).to.throw(NetError, "write for example 8080:80");
    });
  }

  it("read back what they print", () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    const mapping = fc.record(
      {
        hostPort: port,
        containerPort: port,
        protocol: fc.constantFrom("tcp" as const, "udp" as const, "sctp" as const),
        hostIP: fc.oneof(fc.ipV4(), fc.constantFrom("fd00::1", "::1")),
      },
      { requiredKeys: ["hostPort", "containerPort", "protocol"] },
    );
    fc.assert(
      fc.property(mapping, (each) => {
        expect(parsePublish(formatPort(each))).to.deep.equal({ ...each });
      }),
    );
  });
});
