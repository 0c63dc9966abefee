import { expect } from "chai";
import {
  CNI_VERSIONS,
  isAtLeast,
  isVerb,
  NEWEST_VERSION,
  negotiateVersion,
  requireVerb,
  type Verb,
  versionAnswer,
} from "../../../cni/version.ts";
import { cniErrorOf } from "../../support/cni-host.ts";

describe("negotiateVersion", () => {
  it("accepts every released version as itself", () => {
    for (const version of CNI_VERSIONS) expect(negotiateVersion(version)).to.equal(version);
  });

  it("takes a configuration without a version as 0.1.0", () => {
    expect(negotiateVersion(undefined)).to.equal("0.1.0");
  });

  for (const other of ["9.9.9", "abc", "1.0", "1.0.0 ", "1.1.1", "0.5.0"]) {
    it(`refuses ${JSON.stringify(other)} with the versions that it knows`, () => {
      const error = cniErrorOf(() => negotiateVersion(other));
      expect(error.code).to.equal(1);
      expect(error.message).to.equal("incompatible CNI versions");
      const supported = '"0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"';
      expect(error.details).to.equal(`config is ${JSON.stringify(other)}, plugin supports [${supported}]`);
    });
  }
});

describe("requireVerb", () => {
  const since: readonly [Verb, string][] = [
    ["ADD", "0.1.0"],
    ["DEL", "0.1.0"],
    ["CHECK", "0.4.0"],
    ["GC", "1.1.0"],
    ["STATUS", "1.1.0"],
  ];
  for (const [verb, first] of since) {
    it(`allows ${verb} from ${first} on and refuses it before`, () => {
      for (const version of CNI_VERSIONS) {
        if (version >= first) requireVerb(verb, version);
        else expect(cniErrorOf(() => requireVerb(verb, version))).to.include({ code: 1 });
      }
    });
  }

  it("says which verb the version does not allow", () => {
    expect(cniErrorOf(() => requireVerb("CHECK", "0.3.1")).message).to.equal("config version does not allow CHECK");
  });
});

describe("isAtLeast", () => {
  it("orders the versions as they were released", () => {
    for (const [index, version] of CNI_VERSIONS.entries()) {
      for (const [other, least] of CNI_VERSIONS.entries()) {
        expect(isAtLeast(version, least)).to.equal(index >= other);
      }
    }
  });
});

describe("isVerb", () => {
  it("knows the six verbs, in upper case only, and no property of objects", () => {
    for (const verb of ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]) expect(isVerb(verb)).to.equal(true);
    for (const other of ["add", "", "FOO", "toString", "__proto__"]) expect(isVerb(other)).to.equal(false);
  });
});

describe("versionAnswer", () => {
  it("is one line with the newest version and all supported ones", () => {
    expect(versionAnswer()).to.match(/^\{.*\}\n$/);
    expect(JSON.parse(versionAnswer())).to.deep.equal({
      cniVersion: NEWEST_VERSION,
      supportedVersions: [...CNI_VERSIONS],
    });
  });
});
