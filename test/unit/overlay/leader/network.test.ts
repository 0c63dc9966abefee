import { expect } from "chai";
import fc from "fast-check";
import { formatPrefix } from "../../../../lib/address.ts";
import { NetError } from "../../../../lib/error.ts";
import { DEFAULT_NETWORK, parseOverlayNetwork, parseOverlayNetworkText } from "../../../../overlay/leader/network.ts";
import { refusalOf } from "./fixture.ts";

const OVERLAY = { name: "dcos", subnet: "9.0.0.0/8", prefix: 24 };

function problems(changes: object): string {
  return refusalOf(() => parseOverlayNetwork({ ...DEFAULT_NETWORK, ...changes })).message;
}

describe("the overlay configuration", () => {
  it("takes what DC/OS installs", () => {
    const network = parseOverlayNetwork(DEFAULT_NETWORK);
    expect(formatPrefix(network.vtepSubnet)).to.equal("44.128.0.0/20");
    expect(network.macOui).to.equal("70:b3:d5");
    expect(network.overlays.map(({ name, enabled }) => [name, enabled])).to.deep.equal([
      ["dcos", true],
      ["dcos6", true],
    ]);
  });

  it("clears host bits and keeps the order of the overlays, as the reference does", () => {
    const network = parseOverlayNetwork({
      vtep_subnet: "44.128.3.7/20",
      vtep_mac_oui: "70:B3:D5:00:00:00",
      vtep_mtu: 1400,
      overlays: [{ name: "z", subnet: "10.9.1.1/16", prefix: 24, enabled: false }, OVERLAY],
    });
    expect(formatPrefix(network.vtepSubnet)).to.equal("44.128.0.0/20");
    expect(network.vtepMtu).to.equal(1400);
    expect(network.overlays.map(({ name }) => name)).to.deep.equal(["z", "dcos"]);
    expect(network.overlays[0]).to.include({ enabled: false, isolated: false });
  });

  const cases: readonly (readonly [string, object, RegExp])[] = [
    ["an unknown key", { vtep_subnett: "1.0.0.0/8" }, /vtep_subnett: is not known here/],
    ["a missing endpoint range", { vtep_subnet: undefined }, /vtep_subnet: is required/],
    ["a missing OUI", { vtep_mac_oui: undefined }, /vtep_mac_oui: is required/],
    ["no overlays", { overlays: undefined }, /overlays: is required/],
    ["an empty list of overlays", { overlays: [] }, /overlays: must list at least one overlay/],
    ["an endpoint range wider than the hardware address carries", { vtep_subnet: "44.0.0.0/7" }, /must be \/8 to \/30/],
    ["an endpoint range of the other family", { vtep_subnet: "fd01::/64" }, /vtep_subnet: must be an IPv4 network/],
    ["an endpoint range that is multicast", { vtep_subnet: "224.0.0.0/20" }, /vtep_subnet: .*multicast/],
    ["an OUI with a low part", { vtep_mac_oui: "70:B3:D5:00:00:01" }, /vtep_mac_oui: must be three bytes/],
    ["an OUI of other digits", { vtep_mac_oui: "70:B3:GG:00:00:00" }, /vtep_mac_oui: must be three bytes/],
    ["a group OUI", { vtep_mac_oui: "71:B3:D5:00:00:00" }, /vtep_mac_oui: must not be a group address/],
    ["a tiny MTU", { vtep_mtu: 100 }, /vtep_mtu: must be a whole number from 552 to 65535/],
    ["a name that is Docker's", { overlays: [{ ...OVERLAY, name: "bridge" }] }, /overlays\[0\]\.name: .*reserved/],
    ["a name with a slash", { overlays: [{ ...OVERLAY, name: "a/b" }] }, /overlays\[0\]\.name: .*must be letters/],
    ["a name with a quote", { overlays: [{ ...OVERLAY, name: "a'b" }] }, /overlays\[0\]\.name: .*must be letters/],
    [
      "a name twice",
      { overlays: [OVERLAY, { ...OVERLAY, subnet: "10.0.0.0/8" }] },
      /"dcos" is the name of overlays\[0\]\.name already/,
    ],
    ["an overlay without addresses", { overlays: [{ name: "x" }] }, /overlays\[0\]\.subnet: or subnet6 is required/],
    [
      "a subnet without prefix",
      { overlays: [{ name: "x", subnet: "9.0.0.0/8" }] },
      /prefix: is required beside subnet/,
    ],
    ["a prefix without subnet", { overlays: [{ name: "x", prefix: 24 }] }, /subnet: is required beside prefix/],
    ["a prefix wider than the overlay", { overlays: [{ ...OVERLAY, prefix: 7 }] }, /node prefix \/7 wider/],
    ["a prefix without room for two halves", { overlays: [{ ...OVERLAY, prefix: 30 }] }, /at most \/29/],
    ["overlays that overlap", { overlays: [OVERLAY, { name: "b", subnet: "9.1.0.0/16", prefix: 24 }] }, /overlaps/],
    [
      "a disabled overlay that overlaps",
      { overlays: [OVERLAY, { name: "b", subnet: "9.1.0.0/16", prefix: 24, enabled: false }] },
      /overlaps/,
    ],
    ["an overlay over the endpoints", { overlays: [{ ...OVERLAY, subnet: "44.0.0.0/8" }] }, /overlaps/],
    ["IPv6 without endpoints", { vtep_subnet6: undefined }, /vtep_subnet6: is required, because dcos6 has IPv6/],
  ];
  for (const [what, changes, message] of cases) {
    it(`refuses ${what}, naming key and reason`, () => {
      expect(problems(changes)).to.match(message);
    });
  }

  it("names all problems at once", () => {
    const message = problems({
      vtep_mac_oui: "x",
      vtep_mtu: 1,
      overlays: [
        { name: "host", subnet: "9.0.0.0/8" },
        { name: "ok", subnet6: "9.0.0.0/8", prefix6: 200 },
      ],
    });
    for (const key of ["vtep_mac_oui", "vtep_mtu", "overlays[0].name", "overlays[0].prefix", "overlays[1].subnet6"]) {
      expect(message).to.include(`${key}:`);
    }
    expect(message).to.include("the present configuration stays in force");
  });

  it("refuses text that isn't JSON", () => {
    expect(refusalOf(() => parseOverlayNetworkText("{", "x.json")).message).to.match(/cannot use x.json: isn't JSON/);
  });

  it("answers anything with a configuration or a NetError, never another exception", () => {
    const key = fc.constantFrom("vtep_subnet", "vtep_subnet6", "vtep_mac_oui", "vtep_mtu", "overlays", "x");
    const leaf = fc.oneof(fc.jsonValue(), fc.constantFrom("9.0.0.0/8", "fd01::/64", "70:B3:D5:00:00:00", 24));
    const overlay = fc.dictionary(fc.constantFrom("name", "subnet", "prefix", "subnet6", "prefix6", "enabled"), leaf);
    fc.assert(
      fc.property(fc.dictionary(key, fc.oneof(leaf, fc.array(overlay))), (value) => {
        try {
          parseOverlayNetwork({ ...DEFAULT_NETWORK, ...value });
        } catch (error) {
          expect(error).to.be.instanceOf(NetError);
        }
      }),
    );
  });
});
