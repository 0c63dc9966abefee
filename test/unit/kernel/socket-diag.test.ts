import { expect } from "chai";
import fc from "fast-check";
import { type Destination, destinationFilter } from "../../../kernel/socket-diag.ts";
import { parseIp } from "../../../lib/address.ts";
import { toHex } from "../../../lib/bytes.ts";

const JUMP = 1;
const DESTINATION = 8;

/** What the kernel does with a filter (net/ipv4/inet_diag.c, inet_diag_bc_run): goes on by `yes` or `no`, and accepts
 *  who arrives exactly at the end. */
function accepts(filter: Uint8Array, peer: Destination): boolean {
  const view = new DataView(filter.buffer);
  const wanted = toHex(destinationFilter([peer]).subarray(4));
  let offset = 0;
  while (offset < filter.length) {
    const code = view.getUint8(offset);
    expect(code).to.be.oneOf([JUMP, DESTINATION]);
    const matches =
      code === DESTINATION && toHex(filter.subarray(offset + 4, offset + view.getUint8(offset + 1))) === wanted;
    offset += matches ? view.getUint8(offset + 1) : view.getUint16(offset + 2, true);
  }
  return offset === filter.length;
}

const destination: fc.Arbitrary<Destination> = fc.record({
  ip: fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2").map(parseIp),
  port: fc.constantFrom(80, 8080),
});

describe("filter of sockets by peer", () => {
  it("is what ss sends for one destination", () => {
    // ss -tn dst 10.0.0.1:80, its attribute INET_DIAG_REQ_BYTECODE.
    expect(toHex(destinationFilter([{ ip: parseIp("10.0.0.1"), port: 80 }]))).to.equal(
      "08101400" + "02200000" + "50000000" + "0a000001",
    );
  });

  it("accepts exactly the destinations given", () => {
    fc.assert(
      fc.property(fc.array(destination, { minLength: 1, maxLength: 6 }), destination, (among, peer) => {
        const same = ({ ip, port }: Destination) => ip.value === peer.ip.value && port === peer.port;
        expect(accepts(destinationFilter(among), peer)).to.equal(among.some(same));
      }),
    );
  });
});
