import { expect } from "chai";
import fc from "fast-check";
import { NetError } from "../../../lib/error.ts";
import { parseZooKeeperUrl } from "../../../lib/zookeeper-url.ts";

const RULES = { tried: "use it", remedy: "write another", segment: /^[a-z]+$/, host: /^[a-z.]+$/ };

describe("a ZooKeeper URL", () => {
  it("keeps its caller's rules for hosts and for the parts of the path", () => {
    expect(parseZooKeeperUrl(" zk://a.b, c:1/x/y// ", RULES)).to.deep.equal({
      servers: ["a.b:2181", "c:1"],
      path: "/x/y",
      credentials: undefined,
    });
    expect(() => parseZooKeeperUrl("zk://h/x1", RULES)).to.throw("cannot use it: it needs a path; write another");
    expect(() => parseZooKeeperUrl("zk://h1/x", RULES)).to.throw('cannot use it: "h1" isn\'t host:port');
    expect(parseZooKeeperUrl("zk://h/x1", { ...RULES, segment: /./ }).path).to.equal("/x1");
    for (const path of ["/.", "/x/../y", "/x//y", "", "/"]) {
      expect(() => parseZooKeeperUrl(`zk://h${path}`, { ...RULES, segment: /./ }), path).to.throw("it needs a path");
    }
  });

  it("is read, or refused without its password, whatever it is", () => {
    const piece = fc.constantFrom("zk://", "@", ":", "/", ",", "h", "2181", "..", "?", " ");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = `zk://u:geheim@${pieces.join("")}`;
        try {
          const { servers, path } = parseZooKeeperUrl(text, RULES);
          expect(servers.join()).to.match(/^[a-z.]+:\d+(?:,[a-z.]+:\d+)*$/);
          expect(path).to.match(/^(?:\/[a-z]+)+$/);
        } catch (error) {
          expect(error).to.be.instanceOf(NetError);
          expect(String(error)).not.to.include("geheim");
        }
      }),
    );
  });
});
