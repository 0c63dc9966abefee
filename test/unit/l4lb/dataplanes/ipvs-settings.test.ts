import { expect } from "chai";
import { ipvsSettings } from "../../../../l4lb/dataplanes/ipvs-settings.ts";

function reuseMode(release: string): string | undefined {
  return ipvsSettings(release).find(({ path }) => path.endsWith("conn_reuse_mode"))?.value;
}

describe("settings of IPVS", () => {
  it("reused ports are balanced anew where the kernel can do that without a lost packet", () => {
    for (const release of ["5.9.0", "5.10.0-28-amd64", "6.1.176", "6.18.44-fc-v509", "10.0"]) {
      expect(reuseMode(release), release).to.equal("1");
    }
    for (const release of ["3.10.0-1160.el7.x86_64", "4.18.0-553.el8", "5.8.18"]) {
      expect(reuseMode(release), release).to.equal("0");
    }
  });

  it("a release that can't be read counts as new", () => {
    expect(reuseMode("")).to.equal("1");
  });

  it("each setting has its reason", () => {
    for (const { path, reason } of ipvsSettings("6.1")) expect(reason, path).to.match(/\w+ \w+/);
  });
});
