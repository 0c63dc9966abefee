import { expect } from "chai";
import { RateLimit } from "../../../dns/rate.ts";
import { ipBytes, parseIp } from "../../../lib/address.ts";

/** A struct sockaddr, behind some bytes of others. */
function sockaddr(text: string): Uint8Array {
  const ip = parseIp(text);
  const bytes = new Uint8Array(5 + 28);
  bytes[5] = ip.family === 4 ? 2 : 10;
  bytes.set(ipBytes(ip), 5 + (ip.family === 4 ? 4 : 8));
  return bytes;
}

/** How many of so many large answers at one moment are allowed. */
function allowed(limit: RateLimit, text: string, asked: number, now: number): number {
  let count = 0;
  for (let index = 0; index < asked; index++) if (limit.allows(sockaddr(text), 5, now)) count++;
  return count;
}

describe("the limit of large answers", () => {
  it("is a burst and a rate for each network", () => {
    const limit = new RateLimit(1);
    expect(allowed(limit, "192.0.2.1", 1000, 5000)).to.equal(400);
    expect(allowed(limit, "192.0.2.200", 10, 5000), "the same /24").to.equal(0);
    expect(allowed(limit, "192.0.2.1", 1000, 6000)).to.equal(200);
    expect(allowed(limit, "198.51.100.1", 10, 6000)).to.equal(10);
    expect(allowed(limit, "2001:db8::1", 1000, 6000)).to.equal(400);
    expect(allowed(limit, "2001:db8:0:ff::1", 10, 6000), "the same /56").to.equal(0);
    expect(allowed(limit, "2001:db8:0:100::1", 10, 6000)).to.equal(10);
  });

  it("is not for this machine", () => {
    const limit = new RateLimit(1);
    for (const loopback of ["127.0.0.1", "127.8.8.8", "::1"]) expect(allowed(limit, loopback, 1000, 0)).to.equal(1000);
    expect(allowed(limit, "::2", 1000, 0)).to.equal(400);
  });
});
