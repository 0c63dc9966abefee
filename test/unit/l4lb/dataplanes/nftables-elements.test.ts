import { expect } from "chai";
import fc from "fast-check";
import { elementsOf, leadOf, ownerKey, ownerOf, serviceOf } from "../../../../l4lb/dataplanes/nftables-elements.ts";
import type { Service } from "../../../../l4lb/service.ts";
import { service, services } from "../../../support/vip-services.ts";

const placed = (each: Service) => elementsOf({ service: each, lead: leadOf(each) });

describe("elements of a service", () => {
  it("are in the kernel's form: fields in registers of four bytes, network order but for the number", () => {
    const elements = placed(service("tcp 11.0.0.1:80", ["10.88.0.11", ["10.88.0.12", 0]], { affinity: 300 }));
    const owner = "0b000001" + "06000000" + "00500000";
    expect(elements).to.deep.equal([
      { set: "services4", element: { key: owner, comment: "wlc 300" } },
      { set: "backends4", element: { key: `${owner}0a58000b1f900000`, comment: "1" } },
      { set: "backends4", element: { key: `${owner}0a58000c1f900000`, comment: "0" } },
      { set: "random4_1", element: { key: `${owner}00000000`, data: "0a58000b1f900000" } },
      { set: "affine4_300", element: { key: owner } },
    ]);
    const [first] = placed(service("udp [fd11::1]:53", []));
    expect(first?.element.key).to.equal("fd110000000000000000000000000001" + "11000000" + "00350000");
  });

  it("tell the service again, all begin with its key, and none comes twice", () => {
    fc.assert(
      fc.property(services, (all) => {
        for (const each of all) {
          const elements = placed(each);
          const { family } = each.ip;
          expect(serviceOf(family, elements)).to.deep.equal(each);
          expect(new Set(elements.map(({ element }) => ownerOf(family, element.key)))).to.deep.equal(
            new Set([ownerKey(each)]),
          );
          expect(new Set(elements.map(({ set, element }) => `${set} ${element.key}`)).size).to.equal(elements.length);
        }
      }),
    );
  });

  it("that don't name a service make none", () => {
    const [named, ...others] = placed(service("tcp 11.0.0.1:80", ["10.88.0.11"]));
    expect(serviceOf(4, others)).to.equal(undefined);
    for (const comment of ["", "wlc", "best 0", "wlc 1234567"]) {
      expect(serviceOf(4, [{ set: "services4", element: { key: named?.element.key ?? "", comment } }])).to.equal(
        undefined,
      );
    }
    const sctp = (named?.element.key ?? "").replace("06000000", "84000000");
    expect(serviceOf(4, [{ set: "services4", element: { key: sctp, comment: "wlc 0" } }])).to.equal(undefined);
  });
});
