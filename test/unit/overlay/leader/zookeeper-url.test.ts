import { expect } from "chai";
import { parseZooKeeperUrl } from "../../../../overlay/leader/zookeeper-url.ts";
import { refusalOf } from "./fixture.ts";

describe("the ZooKeeper URL", () => {
  it("has servers, a path, and perhaps user and password", () => {
    expect(parseZooKeeperUrl("zk://10.0.0.1:2182,zk.example.org/dcos-net/overlay/")).to.deep.equal({
      servers: ["10.0.0.1:2182", "zk.example.org:2181"],
      path: "/dcos-net/overlay",
      credentials: undefined,
    });
    expect(parseZooKeeperUrl("zk://us:pa:ss@h:1/x").credentials).to.equal("us:pa:ss");
  });

  for (const text of [
    "",
    "http://h/x",
    "zk://h",
    "zk://h/",
    "zk:///x",
    "zk://h:0/x",
    "zk://h:65536/x",
    "zk://h:x/x",
    "zk://a,,b/x",
    "zk://[fd00::1]:2181/x",
    "zk://h/a b",
    "zk://h/a//b",
    "zk://h/../b",
    "zk://us@h/x",
    `zk://${"h,".repeat(32)}h/x`,
  ]) {
    it(`is refused as ${JSON.stringify(text.slice(0, 40))}`, () => {
      expect(refusalOf(() => parseZooKeeperUrl(text)).code).to.equal("invalid");
    });
  }

  it("is refused without repeating the password", () => {
    expect(refusalOf(() => parseZooKeeperUrl("zk://us:secret@h:x/x")).message).not.to.include("secret");
  });
});
