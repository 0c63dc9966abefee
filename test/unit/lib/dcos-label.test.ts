import { expect } from "chai";
import fc from "fast-check";
import { dcosFragment, dcosLabel } from "../../../lib/dcos-label.ts";

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
