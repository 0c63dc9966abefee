import { expect } from "chai";
import fc from "fast-check";
import { dcosFragment, dcosLabel, mesosFragment, mesosLabel } from "../../../dns/label.ts";
import { taskHash, zbase32 } from "../../../dns/zbase32.ts";

const LONG = "fd%gsf---gs7-f$gs--d7fddg123456789012345678901234567890123456789-123";

describe("the label of DC/OS", () => {
  const EXAMPLES: readonly [string, string][] = [
    ["myapp.mygroup", "myapp-mygroup"],
    ["Foo_Bar.baz", "foo-bar-baz"],
    ["chronos with a space AND MIXED CASE-2.0.1", "chronoswithaspaceandmixedcase-2-0-1"],
    [LONG, "fdgsf---gs7-fgs--d7fddg1234567890123456789012345678901234567891"],
    ["89fdgsf---gs7-fgs--d7fddg-", "89fdgsf---gs7-fgs--d7fddg"],
    [`${"a".repeat(62)}-_bbbbb`, `${"a".repeat(62)}b`],
    ["日本", ""],
  ];
  for (const [text, label] of EXAMPLES) {
    it(`of ${JSON.stringify(text.slice(0, 30))} is ${label.slice(0, 30)}`, () => {
      expect(dcosLabel(text)).to.equal(label);
    });
  }

  it("is always a label, or empty", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expect(dcosLabel(text)).to.match(/^$|^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/);
      }),
    );
  });

  it("keeps dots and drops slashes in the names of virtual IPs", () => {
    expect(dcosFragment("/api.hello-world")).to.equal("api.hello-world");
    expect(dcosFragment("/mygroup/myapp")).to.equal("mygroupmyapp");
  });
});

describe("the label of Mesos-DNS", () => {
  const SPACES = "chronos with a space AND MIXED CASE-2.0.1";
  const EXAMPLES: readonly [string, string, string][] = [
    ["4abc123", "abc123", "4abc123"],
    ["a.b_c.", "a-b-c", "a-b-c"],
    ["fd%gsf---gs7-f$gs--d7fddg-123", "fdgsf---gs7-fgs--d7fddg1", "fdgsf---gs7-fgs--d7fddg-123"],
    [SPACES, "chronoswithaspaceandmixe", "chronoswithaspaceandmixedcase-2-0-1"],
    [`hello${"-".repeat(56)}f`, "hellof", `hello${"-".repeat(56)}f`],
    [`hello${"-".repeat(58)}f`, "hellof", "hellof"],
    ["aaaaaaaaaaaaaaaaaaaaaa--1-2", "aaaaaaaaaaaaaaaaaaaaaa1-", "aaaaaaaaaaaaaaaaaaaaaa--1-2"],
    ["日本", "", ""],
  ];
  for (const [text, rfc952, rfc1123] of EXAMPLES) {
    it(`of ${JSON.stringify(text.slice(0, 30))} is as the real one makes it in both modes`, () => {
      expect([mesosLabel(text, "rfc952"), mesosLabel(text, "rfc1123")]).to.deep.equal([rfc952, rfc1123]);
    });
  }

  it("is made of each part of a framework's name", () => {
    expect(mesosFragment(SPACES, "rfc952")).to.equal("chronoswithaspaceandmixe");
    expect(mesosFragment(SPACES, "rfc1123")).to.equal("chronoswithaspaceandmixedcase-2.0.1");
  });

  it("is told apart by the hash of the task's id", () => {
    expect(taskHash("test")).to.equal("iffe9");
    expect(taskHash("")).to.equal("5eh48");
    expect(taskHash("nginx.48dccce7-90bc-11e6-ae70-70b3d5800001")).to.equal("jhy6r");
    expect(zbase32(new TextEncoder().encode("foobar"))).to.equal("c3zs6aubqe");
  });
});
