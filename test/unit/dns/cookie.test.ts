import { expect } from "chai";
import { isCookieLength, ServerCookies } from "../../../dns/cookie.ts";
import { ipBytes, parseIp } from "../../../lib/address.ts";
import { fromHex, toHex } from "../../../lib/bytes.ts";

const SECRET = fromHex("e5e973e5a6b2a43f48e7dc849e37bfcf");
const NOW = 1_559_731_985;
const source = ipBytes(parseIp("198.51.100.100"));

describe("cookies", () => {
  it("are those of RFC 9018 appendix A", () => {
    const first = new ServerCookies(SECRET).option(fromHex("2464c4abcf10c957"), source, NOW);
    expect(toHex(first)).to.equal("000a00182464c4abcf10c957010000005cf79f111f8130c3eee29480");
    const six = ipBytes(parseIp("2001:db8:220:1:59de:d0f4:8769:82b8"));
    const of = (secret: string, now: number): string =>
      toHex(new ServerCookies(fromHex(secret)).option(fromHex("22681ab97d52c298"), six, now)).slice(8);
    const old = of("dd3bdf9344b678b185a6f5cb60fca715", 1_559_741_817);
    expect(old).to.equal("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
    const rolled = of("445536bcd2513298075a5d379663c962", 1_559_741_961);
    expect(rolled).to.equal("22681ab97d52c298010000005cf7c609a6bb79d16625507a");
  });

  it("are good for an hour at the address that they were given to", () => {
    const cookies = new ServerCookies(SECRET);
    const cookie = cookies.option(fromHex("2464c4abcf10c957"), source, NOW).subarray(4);
    const good = (now: number, at = source, given = cookie): boolean => cookies.isGood(given, at, now);
    expect([NOW, NOW + 3600, NOW - 300].map((now) => good(now))).to.deep.equal([true, true, true]);
    expect([NOW + 3601, NOW - 301].map((now) => good(now))).to.deep.equal([false, false]);
    expect(good(NOW, ipBytes(parseIp("198.51.100.101")))).to.equal(false);
    expect(good(NOW, source, cookie.subarray(0, 8))).to.equal(false);
    for (let index = 0; index < cookie.length; index++) {
      // The reserved bytes are made anew, so that a change in them shows as well.
      const changed = cookie.map((byte, at) => (at === index ? byte ^ 1 : byte));
      expect(good(NOW, source, changed), `byte ${index}`).to.equal(false);
    }
    expect(new ServerCookies(new Uint8Array(16)).isGood(cookie, source, NOW)).to.equal(false);
  });

  it("have the lengths that RFC 7873 allows", () => {
    const lengths = Array.from({ length: 60 }, (_, length) => length).filter(isCookieLength);
    expect(lengths).to.deep.equal([8, ...Array.from({ length: 25 }, (_, index) => 16 + index)]);
  });
});
