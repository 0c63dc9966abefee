import { expect } from "chai";
import fc from "fast-check";
import {
  broadcastOf,
  compareIp,
  contains,
  equalPrefix,
  type Family,
  firstOf,
  formatIp,
  formatPrefix,
  halves,
  hostPrefix,
  type Ip,
  ipBytes,
  ipFromBytes,
  isNetwork,
  lastOf,
  networkOf,
  offsetIp,
  overlaps,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixesBetween,
  sizeOf,
  tryParseIp,
  tryParsePrefix,
  widthOf,
} from "../../../lib/address.ts";
import { NetError } from "../../../lib/error.ts";

const families = fc.constantFrom<Family>(4, 6);
const ips: fc.Arbitrary<Ip> = families.chain((family) =>
  fc.bigInt(0n, (1n << BigInt(widthOf(family))) - 1n).map((value) => ({ family, value })),
);
const prefixes: fc.Arbitrary<Prefix> = ips.chain((ip) =>
  fc.integer({ min: 0, max: widthOf(ip.family) }).map((length) => ({ ip, length })),
);
/** A prefix with an address that is near it more often than chance would have it. */
const pairs = prefixes.chain((prefix) =>
  fc.oneof(
    fc.bigInt(-2n, sizeOf(prefix) + 1n).map((steps) => ({ prefix, ip: offsetIp(firstOf(prefix), steps) ?? prefix.ip })),
    ips.map((ip) => ({ prefix, ip })),
  ),
);

/** The covered numbers, computed without shifts. */
function span(prefix: Prefix): { family: Family; first: bigint; last: bigint } {
  const size = 2n ** BigInt(widthOf(prefix.ip.family) - prefix.length);
  const first = (prefix.ip.value / size) * size;
  return { family: prefix.ip.family, first, last: first + size - 1n };
}

describe("IP addresses", () => {
  it("come back unchanged from their text", () => {
    fc.assert(
      fc.property(ips, (ip) => {
        expect(parseIp(formatIp(ip))).to.deep.equal(ip);
      }),
    );
  });

  it("come back unchanged from their bytes", () => {
    fc.assert(
      fc.property(ips, (ip) => {
        expect(ipFromBytes(ipBytes(ip))).to.deep.equal(ip);
      }),
    );
  });

  // RFC 5952, sections 1 and 4, and RFC 4291, section 2.2.
  const canonical: readonly (readonly [string, string])[] = [
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8::1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:0:0::1", "2001:db8::1"],
    ["2001:db8:aaaa:bbbb:cccc:dddd:eeee:001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["FF01::101", "ff01::101"],
    ["::FFFF:129.144.52.38", "::ffff:8190:3426"],
    ["fd01:b:0:0:1::", "fd01:b:0:0:1::"],
    ["1.2.3.4", "1.2.3.4"],
  ];
  for (const [text, expected] of canonical) {
    it(`write ${text} as ${expected}`, () => expect(formatIp(parseIp(text))).to.equal(expected));
  }

  const refused = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.-4",
    "0x1.2.3.4",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "::12345",
    "::g",
    "fe80::1%eth0",
    "1.2.3.4::",
    "::1.2.3",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "[::1]",
    "1:",
    ":1:2:3:4:5:6:7",
  ];
  for (const text of refused) {
    it(`are not read out of ${JSON.stringify(text)}`, () => {
      expect(tryParseIp(text)).to.equal(undefined);
      expect(() => parseIp(text))
        .to.throw(NetError, JSON.stringify(text))
        .with.property("code", "invalid");
    });
  }

  it("are never made of text that isn't one, and reading never throws", () => {
    const characters = fc.constantFrom(..."0123456789abcdefABCDEF:./% gx-");
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 45 }), (text) => {
        const ip = tryParseIp(text);
        if (ip !== undefined) expect(tryParseIp(formatIp(ip))).to.deep.equal(ip);
        tryParsePrefix(text);
      }),
    );
  });

  it("are refused in any other number of bytes", () => {
    for (const length of [0, 3, 5, 15, 17]) expect(() => ipFromBytes(new Uint8Array(length))).to.throw(NetError);
  });

  it("have a next one until the address space ends", () => {
    expect(offsetIp(parseIp("9.0.0.255"), 1)).to.deep.equal(parseIp("9.0.1.0"));
    expect(offsetIp(parseIp("fd01:b::ff:ffff:ffff:ffff"), 1)).to.deep.equal(parseIp("fd01:b::100:0:0:0"));
    expect(offsetIp(parseIp("255.255.255.255"), 1)).to.equal(undefined);
    expect(offsetIp(parseIp("::"), -1)).to.equal(undefined);
  });

  it("sort IPv4 first, then by number", () => {
    fc.assert(
      fc.property(fc.array(ips), (list) => {
        const sorted = [...list].sort(compareIp);
        for (const [index, ip] of sorted.entries()) {
          const before = sorted[index - 1] ?? ip;
          expect(before.family < ip.family || (before.family === ip.family && before.value <= ip.value)).to.equal(true);
        }
      }),
    );
  });
});

describe("prefixes", () => {
  it("come back unchanged from their text, host bits included", () => {
    fc.assert(
      fc.property(prefixes, (prefix) => {
        expect(parsePrefix(formatPrefix(prefix))).to.deep.equal(prefix);
      }),
    );
  });

  for (const text of [
    "10.0.0.0",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/",
    "10.0.0.0/08",
    "10.0.0.0/+8",
    "10.0.0.0/8/8",
    "/8",
  ]) {
    it(`are not read out of ${JSON.stringify(text)}`, () => {
      expect(tryParsePrefix(text)).to.equal(undefined);
      expect(() => parsePrefix(text))
        .to.throw(NetError)
        .with.property("code", "invalid");
    });
  }

  it("cover what the numbers between first and last say", () => {
    fc.assert(
      fc.property(pairs, ({ prefix, ip }) => {
        const { family, first, last } = span(prefix);
        expect(contains(prefix, ip)).to.equal(family === ip.family && first <= ip.value && ip.value <= last);
        expect(firstOf(prefix).value).to.equal(first);
        expect(lastOf(prefix).value).to.equal(last);
        expect(sizeOf(prefix)).to.equal(last - first + 1n);
        expect(isNetwork(prefix)).to.equal(prefix.ip.value === first);
        expect(networkOf(prefix)).to.deep.equal({ ip: { family, value: first }, length: prefix.length });
      }),
    );
  });

  it("overlap exactly when their numbers do", () => {
    const near = pairs.chain(({ prefix, ip }) =>
      fc.integer({ min: 0, max: widthOf(ip.family) }).map((length) => [prefix, { ip, length }] as const),
    );
    fc.assert(
      fc.property(near, ([a, b]) => {
        const [left, right] = [span(a), span(b)];
        const expected = left.family === right.family && left.first <= right.last && right.first <= left.last;
        expect(overlaps(a, b)).to.equal(expected);
        expect(overlaps(b, a)).to.equal(expected);
      }),
    );
  });

  it("have a broadcast address when they are IPv4 networks of four addresses or more", () => {
    const broadcast = (text: string) => {
      const ip = broadcastOf(parsePrefix(text));
      return ip && formatIp(ip);
    };
    expect(["10.1.0.5/16", "10.0.0.1/30", "0.0.0.0/0"].map(broadcast)).to.deep.equal([
      "10.1.255.255",
      "10.0.0.3",
      "255.255.255.255",
    ]);
    expect(["10.0.0.1/31", "10.0.0.1/32", "fd00::1/64"].map(broadcast)).to.deep.equal([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("cover any range of addresses, each once, and no other", () => {
    const texts = (first: string, last: string) => prefixesBetween(parseIp(first), parseIp(last)).map(formatPrefix);
    expect(texts("11.0.0.0", "11.255.255.255")).to.deep.equal(["11.0.0.0/8"]);
    expect(texts("fd01:c::", "fd01:c::ffff:ffff:ffff:ffff")).to.deep.equal(["fd01:c::/64"]);
    expect(texts("0.0.0.0", "255.255.255.255")).to.deep.equal(["0.0.0.0/0"]);
    expect(texts("10.0.0.1", "10.0.0.4")).to.deep.equal(["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]);
    expect(texts("10.0.0.2", "10.0.0.1")).to.deep.equal([]);
    fc.assert(
      fc.property(prefixes, fc.bigInt({ min: 0n, max: 5000n }), ({ ip }, steps) => {
        const last = offsetIp(ip, steps) ?? ip;
        let next: Ip | undefined = ip;
        for (const prefix of prefixesBetween(ip, last)) {
          expect([isNetwork(prefix), firstOf(prefix)]).to.deep.equal([true, next]);
          next = offsetIp(lastOf(prefix), 1);
        }
        expect(next).to.deep.equal(offsetIp(last, 1));
      }),
    );
  });

  it("are cut into two halves that cover them and nothing else", () => {
    fc.assert(
      fc.property(prefixes, (prefix) => {
        fc.pre(prefix.length < widthOf(prefix.ip.family));
        const [lower, upper] = halves(prefix);
        expect(firstOf(lower)).to.deep.equal(firstOf(prefix));
        expect(offsetIp(lastOf(lower), 1)).to.deep.equal(firstOf(upper));
        expect(lastOf(upper)).to.deep.equal(lastOf(prefix));
        expect(equalPrefix(networkOf(upper), upper)).to.equal(true);
      }),
    );
    expect(halves(parsePrefix("fd01:b:0:0:1::/80")).map(formatPrefix)).to.deep.equal([
      "fd01:b:0:0:1::/81",
      "fd01:b::1:8000:0:0/81",
    ]);
  });

  it("of a single address can't be halved", () => {
    expect(() => halves(hostPrefix(parseIp("9.0.0.1"))))
      .to.throw(NetError, "9.0.0.1/32")
      .with.property("code", "invalid");
  });
});
