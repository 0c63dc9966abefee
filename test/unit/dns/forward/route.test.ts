import { expect } from "chai";
import fc from "fast-check";
import { Routes, refuseOwn } from "../../../../dns/forward/route.ts";
import { isUnder } from "../../../../dns/name.ts";
import { endpoint } from "../../../support/dns-upstream.ts";

const name = fc.array(fc.constantFrom("a", "b", "corp"), { maxLength: 4 }).map((labels) => labels.join("."));

describe("the route of a name", () => {
  it("is the longest zone that it is under, in whatever order they were given", () => {
    const property = fc.property(fc.uniqueArray(name, { maxLength: 40 }), name, (zones, asked) => {
      const routes = new Routes(zones.map((zone) => ({ zone, upstreams: [endpoint("192.0.2.1")] })));
      const over = zones.filter((zone) => isUnder(asked, zone));
      const longest = over.reduce<string | undefined>(
        (a, b) => (a === undefined || b.length > a.length ? b : a),
        undefined,
      );
      expect(routes.routeOf(asked)?.zone).to.equal(longest);
    });
    fc.assert(property);
  });

  it("ends at a zone that nobody is asked about", () => {
    const routes = new Routes([
      { zone: "", upstreams: [endpoint("192.0.2.1")] },
      { zone: "internal", upstreams: [] },
    ]);
    expect(routes.routeOf("x.internal")).to.equal(undefined);
    expect(routes.routeOf("x.example")?.zone).to.equal("");
  });

  it("may not lead to where the server itself listens", () => {
    const own = [endpoint("198.51.100.1"), endpoint("fd01::1")];
    expect(() => refuseOwn([{ zone: "", upstreams: [endpoint("198.51.100.1")] }], own)).to.throw(/198.51.100.1:53/);
    expect(() => refuseOwn([{ zone: "a", upstreams: [endpoint("fd01::1")] }], own)).to.throw(/\[fd01::1\]:53/);
    refuseOwn([{ zone: "", upstreams: [endpoint("198.51.100.1", 5353)] }], own);
  });

  it("leads to a bounded number of upstreams", () => {
    const upstreams = Array.from({ length: 17 }, (_, index) => endpoint(`192.0.2.${index}`));
    expect(() => new Routes([{ zone: "a", upstreams }])).to.throw(/17 upstreams/);
  });
});
