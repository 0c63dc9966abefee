import { expect } from "chai";
import { mesosFragment, mesosLabel } from "../../../dns/label.ts";
import { taskHash, zbase32 } from "../../../dns/zbase32.ts";

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
