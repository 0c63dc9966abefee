import { expect } from "chai";
import fc from "fast-check";
import { decodeHeader, decodeLeases, encodeHeader, encodeLeases } from "../../../ipam/index-file.ts";
import type { Family } from "../../../lib/address.ts";

const utf8 = new TextEncoder();
const ip = fc.oneof(
  fc.record({ family: fc.constant<Family>(4), value: fc.bigInt(0n, 2n ** 32n - 1n) }),
  fc.record({ family: fc.constant<Family>(6), value: fc.bigInt(0n, 2n ** 128n - 1n) }),
);
const holder = fc.record({ id: fc.string(), ifname: fc.option(fc.string(), { nil: undefined }) });
const leases = fc.array(fc.record({ ip, holder }));
const header = fc.record({
  boot: fc.string(),
  inode: fc.bigInt(0n, 2n ** 64n - 1n),
  modifiedNs: fc.bigInt(-(2n ** 62n), 2n ** 62n),
  shards: fc.uniqueArray(fc.integer({ min: 0, max: 255 })),
});

describe("ipam/index-file", () => {
  it("reads back what it wrote", () => {
    fc.assert(
      fc.property(leases, header, (rows, head) => {
        expect(decodeLeases(utf8.encode(encodeLeases(rows)))).to.deep.equal(rows);
        expect(decodeHeader(utf8.encode(encodeHeader(head)))).to.deep.equal(head);
      }),
    );
  });

  it("takes no cut, changed or strange file for a list of leases", () => {
    fc.assert(
      fc.property(leases, fc.nat(), fc.integer({ min: 1, max: 255 }), (rows, at, change) => {
        const bytes = utf8.encode(encodeLeases(rows));
        expect(decodeLeases(bytes.subarray(0, at % bytes.length))).to.equal(undefined);
        const changed = bytes.slice();
        changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ change;
        expect(decodeLeases(changed)).to.equal(undefined);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeLeases(bytes)).to.equal(undefined);
        expect(decodeHeader(bytes)).to.equal(undefined);
      }),
    );
  });

  it("takes rows of another shape for damage, even with the right checksum", () => {
    for (const body of ['[["10.0.0.2","a"]]', '[["nowhere","a",null]]', '[["10.0.0.2",1,null]]', '["x"]', '{"a":1}']) {
      const file = utf8.encode(`${Bun.hash.crc32(body).toString(16)}\n${body}`);
      expect(decodeLeases(file), body).to.equal(undefined);
      expect(decodeHeader(file), body).to.equal(undefined);
    }
  });
});
