import { expect } from "chai";
import fc from "fast-check";
import { parseIp } from "../../../../lib/address.ts";
import { NetError } from "../../../../lib/error.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import {
  parseStored,
  readNetwork,
  readRecord,
  storedNetwork,
  storedRecord,
} from "../../../../overlay/leader/stored.ts";
import { network, node, refusalOf } from "./fixture.ts";

function anyRecord() {
  const draft = draftOf(registryOf(network(), []));
  register(draft, node("a", "10.0.0.1", { address6: parseIp("fd00::1") }), () => undefined);
  register(draft, node("b", "10.0.0.1"), () => undefined);
  return draft.records;
}

describe("the stored form", () => {
  it("gives records and configurations back as they were", () => {
    for (const record of anyRecord().values()) {
      expect(readRecord(JSON.parse(JSON.stringify(storedRecord(record))))).to.deep.equal(record);
    }
    const overlays = [
      { name: "x", subnet: "9.0.0.0/8", prefix: 24, enabled: false, isolated: true },
      { name: "y", subnet6: "fd01:b::/64", prefix6: 80 },
    ];
    for (const each of [network(), network({ overlays, vtep_mtu: 1400 })]) {
      expect(readNetwork(JSON.parse(JSON.stringify(storedNetwork(each))))).to.deep.equal(each);
    }
  });

  it("is refused with a NetError when any part of it is missing or of another type", () => {
    const [record] = anyRecord().values();
    if (record === undefined) throw new Error("there is a record");
    const good = JSON.parse(JSON.stringify(storedRecord(record)));
    for (const key of ["id", "address", "vtep", "subnets", "wish"]) {
      const { [key]: _, ...rest } = good;
      expect(refusalOf(() => readRecord(rest)).code, key).to.equal("invalid");
    }
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), fc.jsonValue(), (key, value) => {
        try {
          readRecord({ ...good, [key]: value });
        } catch (error) {
          expect(error).to.be.instanceOf(NetError);
        }
      }),
    );
  });

  it("is refused when it isn't JSON, isn't ours, or is newer", () => {
    const parse = (text: string) => refusalOf(() => parseStored(new TextEncoder().encode(text), "x")).code;
    expect(parse("{")).to.equal("invalid");
    expect(parse("[]")).to.equal("invalid");
    expect(parse("{}")).to.equal("invalid");
    expect(parse('{"format":99}')).to.equal("unsupported");
    expect(refusalOf(() => parseStored(new Uint8Array([0xff]), "x")).code).to.equal("invalid");
  });
});
