import { expect } from "chai";
import { additionCommands, type FirewallTable, isStale, removal } from "../../../cni/firewall-commands.ts";

const TABLE: FirewallTable = {
  family: "ip",
  name: "t",
  sets: [{ name: "m", kind: "map", type: "ipv4_addr : verdict" }],
  chains: [],
  describe: ({ key }) => key.join(),
};
const OWNER = { network: "dcos", containerId: "web-1", ifname: "eth0" };
const held = (key: string, chain: string, comment: string) => ({
  set: "m",
  key: [key],
  data: [`goto ${chain}`],
  comment,
});

describe("firewall commands", () => {
  it("quote whatever may be a word of nft's language, but neither addresses nor verdicts", () => {
    const elements = [["drop", "02:00:00:00:00:05"], ["eth0"], ["10.0.0.1", "tcp", "80"], ["fd01::1"]].map((key) => ({
      set: "s",
      key,
      data: [],
    }));
    const entry = { table: TABLE, owner: OWNER, chains: [], elements, addresses: [], rivals: [] };
    expect(additionCommands(entry, [])).to.deep.equal([
      'create element ip t s { "drop" . 02:00:00:00:00:05 comment "dcos web-1 eth0" }',
      'create element ip t s { "eth0" comment "dcos web-1 eth0" }',
      'create element ip t s { 10.0.0.1 . tcp . 80 comment "dcos web-1 eth0" }',
      'create element ip t s { fd01::1 comment "dcos web-1 eth0" }',
    ]);
  });

  it("delete a chain with the last element that leads to it, and its revision", () => {
    const elements = [
      held("10.0.0.1", "net-24", "a"),
      held("10.0.0.2", "net-24", "b"),
      held("10.0.0.3", "net-25", "a"),
    ];
    const present = ["base", "net-24", "net-24.plain", "net-25", "net-25.0f", "net-25.0f-1"];
    expect(removal(TABLE, elements, present, ({ comment }) => comment === "a")).to.deep.equal({
      commands: [
        "delete element ip t m { 10.0.0.1 }",
        "delete element ip t m { 10.0.0.3 }",
        "delete chain ip t net-25",
        "delete chain ip t net-25.0f",
      ],
      left: ["base", "net-24", "net-24.plain", "net-25.0f-1"],
    });
  });

  it("delete the table with its last element, and an empty one", () => {
    const gone = { commands: ["delete table ip t"], left: undefined };
    expect(removal(TABLE, [held("10.0.0.1", "net-24", "a")], ["net-24"], () => true)).to.deep.equal(gone);
    expect(removal(TABLE, [], [], () => true)).to.deep.equal(gone);
  });

  it("call stale what is on the network and not valid, and nothing on networks with similar names", () => {
    const gone = isStale("dcos", [{ containerId: "web-1", ifname: "eth0" }]);
    const comments = ["dcos web-1 eth0", "dcos web-1 eth1", "dcos web-10 eth0", "dcos2 web-2 eth0", "dcos", undefined];
    const stale = comments.filter((comment) => gone({ set: "m", key: [], data: [], comment }));
    expect(stale).to.deep.equal(["dcos web-1 eth1", "dcos web-10 eth0"]);
  });
});
