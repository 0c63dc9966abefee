import { expect } from "chai";
import fc from "fast-check";
import {
  arrayOf,
  asFlag,
  asInteger,
  asIp,
  asIpOrPrefix,
  asMac,
  asPrefix,
  asSection,
  asText,
  asWord,
  child,
  type Decode,
  field,
  listOf,
  optional,
  parseConfig,
  parseObject,
  required,
  type Section,
} from "../../../cni/config.ts";
import { formatIp, formatPrefix } from "../../../lib/address.ts";
import { cniErrorOf } from "../../support/cni-host.ts";
import { netErrorOf } from "../../support/ipam-scratch.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const section = (fields: Record<string, unknown>, at = ""): Section => ({ at, fields });

describe("parseConfig", () => {
  it("keeps the text as it came, for delegated plugins", () => {
    const text = ' {"name": "n",\n "unknown": [1, {"A": null}]} ';
    const parsed = parseConfig(bytes(text));
    expect(parsed.text).to.equal(text);
    expect(parsed.config.fields["unknown"]).to.deep.equal([1, { A: null }]);
  });

  const bad = [
    "",
    " ",
    "nul",
    "null",
    "[]",
    '"x"',
    "5",
    "true",
    "{",
    '{"a":1} x',
    '{"a":1}{}',
    "{'a':1}",
    "\0",
    '{"a":}',
  ];
  for (const text of bad) {
    it(`refuses ${JSON.stringify(text)} with code 6`, () => {
      const error = cniErrorOf(() => parseConfig(bytes(text)));
      expect(error.code).to.equal(6);
      expect(error.message).to.match(/^cannot decode network config: /);
    });
  }

  it("refuses nesting that no configuration has, however deep", () => {
    for (const depth of [33, 10_000, 400_000]) {
      const text = `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
      expect(cniErrorOf(() => parseConfig(bytes(text))).code).to.equal(6);
    }
    expect(parseConfig(bytes(`{"a":${"[".repeat(31)}${"]".repeat(31)}}`)).config.fields).to.have.property("a");
  });

  it("never throws anything but code 6, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        expect(cniErrorOf(() => parseConfig(new Uint8Array([0x7b, ...random, 0x22]))).code).to.equal(6);
      }),
    );
  });

  it("reads invalid UTF-8 as replacement characters, as Go does", () => {
    const text = new Uint8Array([...bytes('{"a":"'), 0xff, ...bytes('"}')]);
    expect(parseConfig(text).config.fields["a"]).to.equal("\ufffd");
  });
});

describe("parseObject", () => {
  it("names what it could not decode", () => {
    expect(cniErrorOf(() => parseObject("[]", "the result of x")).message).to.equal(
      "cannot decode the result of x: [] is not an object",
    );
  });
});

describe("field", () => {
  it("ignores case, as Go does", () => {
    for (const key of ["isGateway", "ISGATEWAY", "isgateway", "IsGateway"]) {
      expect(field(section({ [key]: true }), "isGateway")).to.equal(true);
    }
  });

  it("prefers the exact spelling, wherever it stands", () => {
    expect(field(section({ NAME: "b", name: "a" }), "name")).to.equal("a");
    expect(field(section({ name: "a", NAME: "b" }), "name")).to.equal("a");
  });

  it("takes the last of other spellings", () => {
    expect(field(section({ NAME: "b", Name: "c" }), "name")).to.equal("c");
  });

  it("takes null and the empty string as absent", () => {
    expect(field(section({ a: null }), "a")).to.equal(undefined);
    expect(field(section({ a: "" }), "a")).to.equal(undefined);
    expect(field(section({ "": 5 }), "a")).to.equal(undefined);
    expect(field(section({ a: 0, b: false }), "a")).to.equal(0);
    expect(field(section({ a: 0, b: false }), "b")).to.equal(false);
  });

  it("finds no member of JavaScript's own", () => {
    for (const key of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
      expect(field(section({}), key)).to.equal(undefined);
    }
    expect(field(section(JSON.parse('{"__proto__":5}')), "__proto__")).to.equal(5);
  });

  it("finds every key in any change of case", () => {
    const key = fc.stringMatching(/^[a-zA-Z]{1,12}$/);
    fc.assert(
      fc.property(key, fc.array(fc.boolean()), (name, upper) => {
        const changed = [...name]
          .map((letter, at) => (upper[at] ? letter.toUpperCase() : letter.toLowerCase()))
          .join("");
        expect(field(section({ [changed]: 1 }), name)).to.equal(1);
      }),
    );
  });
});

describe("decoders", () => {
  const accepted: readonly [string, Decode<unknown>, unknown, unknown][] = [
    ["text", asText, "a", "a"],
    ["a flag", asFlag, false, false],
    ["the least number", asInteger(1, 5), 1, 1],
    ["the greatest number", asInteger(1, 5), 5, 5],
    ["a word in any case", asWord(["tcp", "udp"]), "TCP", "tcp"],
    ["a hardware address in lower case", asMac, "C2:11:22:33:44:5F", "c2:11:22:33:44:5f"],
    ["a hardware address with dashes", asMac, "c2-11-22-33-44-55", "c2:11:22:33:44:55"],
    ["a list", arrayOf(asText), ["a", "b"], ["a", "b"]],
  ];
  for (const [what, decode, value, expected] of accepted) {
    it(`read ${what}`, () => {
      expect(decode(value, "k")).to.deep.equal(expected);
    });
  }

  it("read addresses and prefixes, keeping host bits", () => {
    expect(formatIp(asIp("fd01:0::5", "k"))).to.equal("fd01::5");
    expect(formatPrefix(asPrefix("10.1.0.5/16", "k"))).to.equal("10.1.0.5/16");
    expect(formatIp(asIpOrPrefix("10.1.0.5/16", "k"))).to.equal("10.1.0.5");
    expect(formatIp(asIpOrPrefix("10.1.0.5", "k"))).to.equal("10.1.0.5");
  });

  const refused: readonly [string, Decode<unknown>, readonly unknown[]][] = [
    ["a string", asText, [5, true, {}, []]],
    ["true or false", asFlag, ["true", 0, 1, {}]],
    ["a whole number from 1 to 5", asInteger(1, 5), [0, 6, 1.5, "1", true, Number.POSITIVE_INFINITY]],
    ["one of tcp, udp", asWord(["tcp", "udp"]), ["icmp", "tcp ", "tc"]],
    ["an IP address such as", asIp, ["10.1.0", "10.1.0.5/16", "01.1.1.1", "::1%lo", 5]],
    ["a CIDR address such as", asPrefix, ["10.1.0.0", "10.1.0.0/33", "10.1.0.0/", "x/8", 8]],
    ["an IP address, with or without", asIpOrPrefix, ["10.1.0.0/33", "x", 5]],
    [
      "a unicast hardware address",
      asMac,
      ["01:00:00:00:00:01", "00:00:00:00:00:00", "02:42:0a:01:00", "02420a010005", 5],
    ],
    ["a list", arrayOf(asText), ["a", { length: 1 }, 5]],
    ["an object", asSection, [[], "a", 5, true]],
  ];
  for (const [expected, decode, values] of refused) {
    for (const value of values) {
      it(`ask for ${expected} when given ${JSON.stringify(value)}`, () => {
        const error = netErrorOf(() => decode(value, "ipam.key"));
        expect(error.code).to.equal("invalid");
        expect(error.message).to.contain(`cannot read ipam.key: it is ${JSON.stringify(value)}; give ${expected}`);
      });
    }
  }

  it("cut a huge value in their message", () => {
    expect(netErrorOf(() => asFlag("x".repeat(100_000), "k")).message.length).to.be.lessThan(300);
  });
});

describe("optional, required, child and listOf", () => {
  const config = section({ ipam: { Ranges: [[{ subnet: 5 }]] }, empty: "" });

  it("name the whole path of a bad value", () => {
    const ranges = arrayOf(arrayOf((value, at) => required(asSection(value, at), "subnet", asPrefix)));
    const error = netErrorOf(() => optional(child(config, "ipam"), "ranges", ranges));
    expect(error.message).to.contain("cannot read ipam.ranges[0][0].subnet: it is 5");
  });

  it("answer undefined, an error, an empty object and an empty list for what is absent", () => {
    expect(optional(config, "empty", asText)).to.equal(undefined);
    expect(netErrorOf(() => required(config, "empty", asText)).message).to.equal("cannot read empty: it is missing");
    expect(child(config, "none")).to.deep.equal({ at: "none", fields: {} });
    expect(listOf(config, "none", asText)).to.deep.equal([]);
  });
});
