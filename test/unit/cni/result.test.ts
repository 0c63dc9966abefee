import { expect } from "chai";
import fc from "fast-check";
import { checkConvertible, EMPTY_RESULT, formatResult, type Result } from "../../../cni/result.ts";
import { asDns } from "../../../cni/result-dns.ts";
import { readPrevResult, readResult } from "../../../cni/result-reader.ts";
import { CNI_VERSIONS, type CniVersion } from "../../../cni/version.ts";
import { type Family, type Ip, parseIp, parsePrefix } from "../../../lib/address.ts";
import { cniErrorOf } from "../../support/cni-host.ts";
import { netErrorOf } from "../../support/ipam-scratch.ts";

const OLD: readonly CniVersion[] = ["0.1.0", "0.2.0"];
const MIDDLE: readonly CniVersion[] = ["0.3.0", "0.3.1", "0.4.0"];

const FULL: Result = {
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01" },
    { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1420, sandbox: "/run/netns/x", socketPath: "/s", pciID: "p" },
  ],
  ips: [
    { interface: 1, address: parsePrefix("10.1.0.5/16"), gateway: parseIp("10.1.0.1") },
    { interface: 1, address: parsePrefix("10.2.0.5/16") },
    { interface: 1, address: parsePrefix("fd01::5/64"), gateway: parseIp("fd01::1") },
  ],
  routes: [
    {
      dst: parsePrefix("0.0.0.0/0"),
      gw: parseIp("10.1.0.1"),
      mtu: 1400,
      advmss: 1360,
      priority: 5,
      table: 7,
      scope: 0,
    },
    { dst: parsePrefix("fd02::/64") },
  ],
  dns: { nameservers: ["10.1.0.1"], domain: "d", search: ["s"], options: ["ndots:1"] },
};

const parsed = (result: Result, version: CniVersion): unknown => JSON.parse(formatResult(result, version));
const read = (document: Record<string, unknown>, version: CniVersion) =>
  readResult({ at: "", fields: document }, version);

describe("formatResult", () => {
  for (const version of OLD) {
    it(`prints one address and the routes of each family for ${version}, the shape that Mesos parses`, () => {
      expect(parsed(FULL, version)).to.deep.equal({
        cniVersion: version,
        ip4: { ip: "10.1.0.5/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }] },
        ip6: { ip: "fd01::5/64", gateway: "fd01::1", routes: [{ dst: "fd02::/64" }] },
        dns: { nameservers: ["10.1.0.1"], domain: "d", search: ["s"], options: ["ndots:1"] },
      });
    });
  }

  const ips = [
    { interface: 1, address: "10.1.0.5/16", gateway: "10.1.0.1" },
    { interface: 1, address: "10.2.0.5/16" },
    { interface: 1, address: "fd01::5/64", gateway: "fd01::1" },
  ];
  const routes = [
    { dst: "0.0.0.0/0", gw: "10.1.0.1", mtu: 1400, advmss: 1360, priority: 5, table: 7, scope: 0 },
    { dst: "fd02::/64" },
  ];

  for (const version of MIDDLE) {
    it(`gives each address its version and keeps the keys of routes for ${version}`, () => {
      expect(parsed(FULL, version)).to.deep.equal({
        cniVersion: version,
        interfaces: [
          { name: "cni0", mac: "02:00:00:00:00:01" },
          { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/x" },
        ],
        ips: ips.map((ip, at) => ({ version: at === 2 ? "6" : "4", ...ip })),
        routes,
        dns: FULL.dns,
      });
    });
  }

  it("drops the version of addresses for 1.0.0 and prints the new keys of interfaces for 1.1.0", () => {
    expect(parsed(FULL, "1.0.0")).to.deep.include({ ips, routes });
    expect(parsed(FULL, "1.0.0")).to.have.deep.nested.property("interfaces[1]", {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      sandbox: "/run/netns/x",
    });
    expect(parsed(FULL, "1.1.0")).to.have.deep.nested.property("interfaces[1]", FULL.interfaces[1]);
  });

  it("leaves empty lists out, and an empty dns from 1.0.0 on", () => {
    expect(parsed(EMPTY_RESULT, "1.1.0")).to.deep.equal({ cniVersion: "1.1.0" });
    expect(parsed(EMPTY_RESULT, "1.0.0")).to.deep.equal({ cniVersion: "1.0.0" });
    expect(parsed(EMPTY_RESULT, "0.4.0")).to.deep.equal({ cniVersion: "0.4.0", dns: {} });
    expect(parsed({ ...EMPTY_RESULT, dns: { search: [] } }, "1.1.0")).to.deep.equal({ cniVersion: "1.1.0" });
  });

  it("prints byte for byte what the reference prints to Mesos", () => {
    const result: Result = {
      ...EMPTY_RESULT,
      ips: [{ address: parsePrefix("9.0.1.17/25"), gateway: parseIp("9.0.1.1") }],
      routes: [{ dst: parsePrefix("0.0.0.0/0") }],
    };
    const lines = [
      "{",
      '    "cniVersion": "0.1.0",',
      '    "ip4": {',
      '        "ip": "9.0.1.17/25",',
      '        "gateway": "9.0.1.1",',
      '        "routes": [',
      "            {",
      '                "dst": "0.0.0.0/0"',
      "            }",
      "        ]",
      "    },",
      '    "dns": {}',
      "}",
    ];
    expect(formatResult(result, "0.1.0")).to.equal(lines.join("\n"));
  });

  it("refuses a result without addresses before 0.3.0, and checkConvertible tells so beforehand", () => {
    for (const version of CNI_VERSIONS) {
      checkConvertible(version, FULL.ips);
      if (version >= "0.3.0") {
        checkConvertible(version, []);
        continue;
      }
      for (const attempt of [() => checkConvertible(version, []), () => formatResult(EMPTY_RESULT, version)]) {
        expect(cniErrorOf(attempt)).to.include({ code: 7, message: "cannot convert: no valid IP addresses" });
      }
    }
  });
});

describe("readResult", () => {
  it("reads the families of 0.2.0 into lists without interfaces", () => {
    const document = {
      ip6: { ip: "fd01::5/64", routes: null },
      ip4: {
        ip: "10.1.0.5/16",
        gateway: "10.1.0.1",
        routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9" }],
      },
    };
    const result = read(document, "0.2.0");
    expect(parsed(result, "1.1.0")).to.deep.equal({
      cniVersion: "1.1.0",
      ips: [{ address: "10.1.0.5/16", gateway: "10.1.0.1" }, { address: "fd01::5/64" }],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9" }],
    });
  });

  it("takes a result's own version over the assumed one, and the assumed one when it names none", () => {
    const document = { ip4: { ip: "10.1.0.5/16" }, ips: [{ address: "10.2.0.5/16" }] };
    const address = (fields: Record<string, unknown>, version: CniVersion) => read(fields, version).ips[0]?.address;
    expect(address(document, "1.0.0")).to.deep.equal(parsePrefix("10.2.0.5/16"));
    expect(address({ ...document, cniVersion: "0.2.0" }, "1.0.0")).to.deep.equal(parsePrefix("10.1.0.5/16"));
    expect(address(document, "0.1.0")).to.deep.equal(parsePrefix("10.1.0.5/16"));
  });

  it("copes with missing and null lists, other cases of keys, and indexes that point nowhere", () => {
    expect(read({}, "1.0.0")).to.deep.equal(EMPTY_RESULT);
    expect(read({ interfaces: null, ips: null, routes: null, dns: null }, "1.0.0")).to.deep.equal(EMPTY_RESULT);
    const document = {
      INTERFACES: [{ name: "eth0" }],
      ips: [0, -1, 1, null, undefined].map((index) => ({ address: "10.1.0.5/16", interface: index, extra: 1 })),
    };
    expect(read(document, "1.0.0").ips.map((ip) => ip.interface)).to.deep.equal([0, ...Array(4).fill(undefined)]);
  });

  const bad: readonly [string, Record<string, unknown>][] = [
    ["ips", { ips: 5 }],
    ["ips[0]", { ips: [5] }],
    ["ips[0].address", { ips: [{}] }],
    ["ips[0].address", { ips: [{ address: "10.1.0.5" }] }],
    ["ips[0].gateway", { ips: [{ address: "10.1.0.5/16", gateway: "x" }] }],
    ["ips[0].interface", { ips: [{ address: "10.1.0.5/16", interface: "0" }] }],
    ["interfaces[0].name", { interfaces: [{}] }],
    ["interfaces[0].mtu", { interfaces: [{ name: "a", mtu: -1 }] }],
    ["routes[0].dst", { routes: [{ gw: "10.1.0.1" }] }],
    ["routes[0].scope", { routes: [{ dst: "0.0.0.0/0", scope: 256 }] }],
    ["dns", { dns: [] }],
    ["dns.nameservers", { dns: { nameservers: "10.1.0.1" } }],
  ];
  for (const [place, document] of bad) {
    it(`refuses ${JSON.stringify(document)}`, () => {
      expect(netErrorOf(() => read(document, "1.0.0")).message).to.contain(`cannot read ${place}: `);
    });
  }

  it("refuses a version that was never released", () => {
    expect(cniErrorOf(() => read({ cniVersion: "2.0.0" }, "1.0.0")).code).to.equal(6);
  });
});

describe("readPrevResult", () => {
  it("is undefined without one", () => {
    expect(readPrevResult({ at: "", fields: {} }, "1.0.0")).to.equal(undefined);
    expect(readPrevResult({ at: "", fields: { prevResult: null } }, "1.0.0")).to.equal(undefined);
  });

  for (const prevResult of [5, [], { ips: 5 }, { cniVersion: "9.9.9" }, { cniVersion: "0.2.0", ip4: {} }]) {
    it(`refuses ${JSON.stringify(prevResult)} with code 7`, () => {
      const error = cniErrorOf(() => readPrevResult({ at: "", fields: { prevResult } }, "1.0.0"));
      expect(error).to.include({ code: 7, message: "could not parse prevResult" });
      expect(error.details).to.contain("prevResult");
    });
  }

  it("accepts any version whatever the configuration's", () => {
    for (const version of CNI_VERSIONS) {
      const prevResult = parsed(FULL, version);
      for (const other of CNI_VERSIONS) {
        expect(readPrevResult({ at: "", fields: { prevResult } }, other)?.ips[0]?.address).to.deep.equal(
          FULL.ips[0]?.address,
        );
      }
    }
  });
});

describe("asDns", () => {
  it("keeps an absent list apart from an empty one", () => {
    expect(asDns({ search: [] }, "dns")).to.deep.equal({
      nameservers: undefined,
      domain: undefined,
      search: [],
      options: undefined,
    });
  });
});

describe("a result that goes through another version", () => {
  const ip = (family: Family): fc.Arbitrary<Ip> =>
    fc.bigInt({ min: 0n, max: family === 4 ? 2n ** 32n - 1n : 2n ** 128n - 1n }).map((value) => ({ family, value }));
  const prefix = (family: Family) =>
    fc.record({ ip: ip(family), length: fc.integer({ min: 0, max: family === 4 ? 32 : 128 }) });
  const number = fc.integer({ min: 0, max: 0xffffffff });
  const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
  const word = fc.stringMatching(/^[a-z0-9.:]{1,12}$/);
  const address = (family: Family) => fc.record({ address: prefix(family), gateway: optional(ip(family)) });
  const route = (family: Family) =>
    fc.record({
      dst: prefix(family),
      gw: optional(ip(family)),
      mtu: optional(number),
      advmss: optional(number),
      priority: optional(number),
      table: optional(number),
      scope: optional(fc.integer({ min: 0, max: 255 })),
    });
  const either = <T>(make: (family: Family) => fc.Arbitrary<T>) => fc.oneof(make(4), make(6));
  const link = fc.record({
    name: word,
    mac: optional(word),
    mtu: optional(number),
    sandbox: optional(word),
    socketPath: optional(word),
    pciID: optional(word),
  });
  const words = optional(fc.array(word, { minLength: 1, maxLength: 3 }));
  const result: fc.Arbitrary<Result> = fc
    .record({
      interfaces: fc.array(link, { maxLength: 3 }),
      ips: fc.array(either(address), { maxLength: 4 }),
      routes: fc.array(either(route), { maxLength: 4 }),
      dns: fc.record({ nameservers: words, domain: optional(word), search: words, options: words }),
    })
    .chain((made) =>
      fc.array(fc.nat(3), { minLength: made.ips.length, maxLength: made.ips.length }).map((indexes) => ({
        ...made,
        ips: made.ips.map((one, at) => {
          const index = indexes[at] ?? 0;
          return { ...one, interface: index < made.interfaces.length ? index : undefined };
        }),
      })),
    );
  const through = (made: Result, version: CniVersion) => read(JSON.parse(formatResult(made, version)), version);

  it("keeps everything in 1.1.0", () => {
    fc.assert(
      fc.property(result, (made) => {
        const { dns, ...rest } = through(made, "1.1.0");
        const { dns: before, ...expected } = made;
        expect(rest).to.deep.equal(expected);
        expect(JSON.stringify(dns)).to.equal(JSON.stringify(before));
      }),
    );
  });

  it("loses only mtu, socketPath and pciID of interfaces from 0.3.0 to 1.0.0", () => {
    const plain = result.map((made) => ({
      ...made,
      interfaces: made.interfaces.map((one) => ({ ...one, mtu: undefined, socketPath: undefined, pciID: undefined })),
    }));
    fc.assert(
      fc.property(plain, fc.constantFrom<CniVersion>("0.3.0", "0.3.1", "0.4.0", "1.0.0"), (made, version) => {
        const { interfaces, ips, routes } = through(made, version);
        expect({ interfaces, ips, routes }).to.deep.equal({
          interfaces: made.interfaces,
          ips: made.ips,
          routes: made.routes,
        });
      }),
    );
  });

  it("keeps the first address of each family and the routes of those families down to 0.1.0", () => {
    fc.assert(
      fc.property(
        result.filter(({ ips }) => ips.length > 0),
        fc.constantFrom(...OLD),
        (made, version) => {
          const firsts = ([4, 6] as const).flatMap(
            (family) => made.ips.find((one) => one.address.ip.family === family) ?? [],
          );
          const families = firsts.map((one) => one.address.ip.family);
          const after = through(made, version);
          expect(after.ips.map((one) => one.address)).to.deep.equal(firsts.map((one) => one.address));
          expect(after.ips.map((one) => one.gateway)).to.deep.equal(firsts.map((one) => one.gateway));
          expect(after.routes.map(({ dst, gw }) => ({ dst, gw }))).to.deep.equal(
            families.flatMap((family) =>
              made.routes.filter((one) => one.dst.ip.family === family).map(({ dst, gw }) => ({ dst, gw })),
            ),
          );
          expect(formatResult(after, version)).to.equal(formatResult(made, version));
        },
      ),
    );
  });
});
