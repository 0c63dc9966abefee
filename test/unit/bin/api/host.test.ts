import { expect } from "chai";
import { checkHost } from "../../../../bin/api/host.ts";
import { Refusal } from "../../../../bin/api/refusal.ts";

describe("the check of Host", () => {
  for (const host of ["127.0.0.1", "127.0.0.1:62080", "[::1]:62080", "[fd00::1]", "localhost", "LocalHost:80"]) {
    it(`takes ${host}`, () => expect(() => checkHost(host)).not.to.throw());
  }

  for (const host of [
    undefined,
    "",
    "evil.example",
    "evil.example:62080",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost:",
    "127.0.0.1:99999999",
    "user@127.0.0.1",
    "::1",
    "[evil.example]",
    "127.0.0.1, evil.example",
  ]) {
    it(`refuses ${host ?? "its absence"}`, () => {
      expect(() => checkHost(host))
        .to.throw(Refusal)
        .that.includes({ status: 421, code: "permission" });
    });
  }
});
