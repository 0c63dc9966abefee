import { expect } from "chai";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { ipKey, prefixKey, routeKey, ruleKey } from "../../../overlay/key.ts";

describe("keys of kernel objects", () => {
  it("differ between families with the same number", () => {
    expect(ipKey(parseIp("0.0.0.1"))).not.to.equal(ipKey(parseIp("::1")));
    expect(prefixKey(parsePrefix("0.0.0.0/0"))).not.to.equal(prefixKey(parsePrefix("::/0")));
  });

  it("tell routes apart by table, destination and metric, with the kernel's defaults filled in", () => {
    const route = { dst: parsePrefix("9.0.1.0/24") };
    const route6 = { dst: parsePrefix("fd01::/80") };
    expect(routeKey({ ...route, table: 254, priority: 0 })).to.equal(routeKey(route));
    expect(routeKey({ ...route6, table: 254, priority: 1024 })).to.equal(routeKey(route6));
    expect(routeKey({ ...route, gateway: parseIp("44.128.0.2"), protocol: 3 })).to.equal(routeKey(route));
    const others = [{ ...route, table: 42 }, { ...route, priority: 1 }, { dst: parsePrefix("9.0.1.0/25") }, route6];
    for (const other of others) expect(routeKey(other)).not.to.equal(routeKey(route));
  });

  it("take rules at any position as the same, and no others", () => {
    const rule = { family: 4, from: parsePrefix("9.0.0.0/8"), table: 42 } as const;
    expect(ruleKey({ ...rule, priority: 7 })).to.equal(ruleKey(rule));
    expect(ruleKey({ ...rule, table: 43 })).not.to.equal(ruleKey(rule));
    expect(ruleKey({ family: 4, to: rule.from, table: 42 })).not.to.equal(ruleKey(rule));
    expect(ruleKey({ ...rule, to: rule.from })).not.to.equal(ruleKey(rule));
  });
});
