import { expect } from "chai";
import fc from "fast-check";
import { readVipLabel, vipText } from "../../../l4lb/label.ts";

function read(value: string, framework = "marathon"): string {
  const found = readVipLabel(value, framework);
  return "problem" in found ? found.problem : vipText({ protocol: "tcp", ...found });
}

describe("the value of a VIP label", () => {
  const EXAMPLES: readonly [string, string][] = [
    ["/app:80", "tcp app.marathon:80"],
    ["app:80", "tcp app.marathon:80"],
    ["/group/app:8080", "tcp groupapp.marathon:8080"],
    ["/api.hello-world:80", "tcp api.hello-world.marathon:80"],
    ["Web_1:1", "tcp web-1.marathon:1"],
    ["10.1.2.3:80", "tcp ip 10.1.2.3:80"],
    ["fd01:c::1:80", "tcp ip [fd01:c::1]:80"],
    ["[fd01:c::1]:80", "tcp ip [fd01:c::1]:80"],
    ["[fd01:c::1:80]:65535", "tcp ip [fd01:c::1:80]:65535"],
    ["[app]:80", "tcp app.marathon:80"],
    ["10.1.2:80", "tcp 10.1.2.marathon:80"],
    ["010.1.2.3:80", "tcp 010.1.2.3.marathon:80"],
    ["a:b:80", "tcp ab.marathon:80"],
  ];
  for (const [value, meant] of EXAMPLES) {
    it(`${value} means ${meant}`, () => {
      expect(read(value)).to.equal(meant);
    });
  }

  const BAD: readonly [string, RegExp][] = [
    ["", /is not <name or address>:<port>/],
    ["app", /is not <name or address>:<port>/],
    [":80", /is not <name or address>:<port>/],
    ["app:", /has no port/],
    ["app:0", /has no port/],
    ["app:65536", /has no port/],
    ["app:08", /has no port/],
    ["app:-1", /has no port/],
    ["/:80", /has no letter or digit/],
    ["127.0.0.1:80", /nobody's own/],
    ["169.254.169.254:80", /nobody's own/],
    ["0.0.0.0:80", /nobody's own/],
    ["224.0.0.1:80", /nobody's own/],
    ["255.255.255.255:80", /nobody's own/],
    ["[::1]:80", /nobody's own/],
    ["[fe80::1]:80", /nobody's own/],
    ["[ff02::1]:80", /nobody's own/],
    [`${"abc.".repeat(60)}:80`, /more than 229 characters/],
  ];
  for (const [value, problem] of BAD) {
    it(`${JSON.stringify(value.slice(0, 20))} is refused`, () => {
      expect(read(value)).to.match(problem);
    });
  }

  it("makes a name without the framework's part when nothing is left of that", () => {
    expect(read("app:80", "日本")).to.equal("tcp app:80");
  });

  it("gives a virtual IP or a problem, whatever it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.string(), (value, framework) => {
        const found = readVipLabel(value, framework);
        if ("problem" in found) return;
        expect(found.port).to.be.within(1, 65_535);
        if (found.place.kind === "name") expect(found.place.name).to.match(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/);
      }),
    );
  });
});
