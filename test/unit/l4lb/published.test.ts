import { expect } from "chai";
import { PublishedNames } from "../../../l4lb/published.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";

function bench() {
  const wanted = new Map<string, string[]>();
  const served = new Set<string>();
  const names = new PublishedNames({
    addresses: (name) => (wanted.get(name) ?? []).map(parseIp),
    isServed: (name, ip) => served.has(`${name} ${formatIp(ip)}`),
  });
  return { wanted, served, names };
}

describe("the names of virtual IPs in DNS", () => {
  it("come after the kernel has their services", () => {
    const { wanted, served, names } = bench();
    wanted.set("app", ["11.0.0.1", "fd01:c::1"]);
    expect([names.before(["app"]), names.after(["app"])]).to.deep.equal([[], []]);
    served.add("app 11.0.0.1");
    expect(names.after(["app", "app"])).to.deep.equal([{ name: "app", addresses: ["11.0.0.1"] }]);
    expect(names.after(["app"])).to.deep.equal([]);
    expect([names.has("app", 4), names.has("app", 6), [...names.names()]]).to.deep.equal([true, false, ["app"]]);
  });

  it("go before the kernel loses their services", () => {
    const { wanted, served, names } = bench();
    wanted.set("app", ["11.0.0.1"]);
    served.add("app 11.0.0.1");
    names.after(["app"]);
    wanted.set("app", ["11.0.0.2"]);
    expect(names.before(["app"])).to.deep.equal([{ name: "app", addresses: [] }]);
    served.add("app 11.0.0.2");
    expect(names.after(["app"])).to.deep.equal([{ name: "app", addresses: ["11.0.0.2"] }]);
    wanted.delete("app");
    expect(names.before(["app"])).to.deep.equal([{ name: "app", addresses: [] }]);
    expect([names.after(["app"]), [...names.names()]]).to.deep.equal([[], []]);
  });
});
