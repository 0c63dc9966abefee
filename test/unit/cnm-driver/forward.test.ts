import { expect } from "chai";
import { forwardCommands } from "../../../cnm-driver/forward.ts";

const listing = (policy: string, rules = "", chains = "") => `table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy ${policy};
\t\tcounter packets 2 bytes 120 jump DOCKER-USER
${rules}\t}
${chains}}
`;
const CALL = "\t\tcounter packets 0 bytes 0 jump DCOS-NET\n";
const chain = (bridge: string) => `
\tchain DCOS-NET {
\t\toifname "${bridge}" counter packets 7 bytes 588 accept
\t\toifname "docker0" counter packets 0 bytes 0 return
\t\toifname "br-*" counter packets 1 bytes 84 return
\t\tiifname "${bridge}" counter packets 7 bytes 588 accept
\t}
`;
const RULES = (bridge: string) => [
  "flush chain ip filter DCOS-NET",
  `add rule ip filter DCOS-NET oifname "${bridge}" counter accept`,
  'add rule ip filter DCOS-NET oifname "docker0" counter return',
  'add rule ip filter DCOS-NET oifname "br-*" counter return',
  `add rule ip filter DCOS-NET iifname "${bridge}" counter accept`,
];
const JUMP = "add rule ip filter FORWARD counter jump DCOS-NET";

describe("forwarding past a policy to drop", () => {
  const commands = (text: string, bridges = ["d-dcos"]) => forwardCommands("ip", text, bridges);

  it("is opened at the end of FORWARD, for our bridges only", () => {
    expect(commands(listing("drop"))).to.deep.equal(["add chain ip filter DCOS-NET", ...RULES("d-dcos"), JUMP]);
  });

  it("is left alone where nothing drops, where there is no bridge, and where all is in place", () => {
    expect(commands(listing("accept"))).to.deep.equal([]);
    expect(commands(listing("drop"), [])).to.deep.equal([]);
    expect(commands("table ip filter {\n}\n")).to.deep.equal([]);
    expect(commands(listing("drop", CALL, chain("d-dcos")))).to.deep.equal([]);
  });

  it("follows the bridges, and comes back when somebody flushes FORWARD", () => {
    expect(commands(listing("drop", CALL, chain("d-old")))).to.deep.equal(RULES("d-dcos"));
    expect(commands(listing("drop", CALL, chain("d-old")), [])).to.deep.equal(["flush chain ip filter DCOS-NET"]);
    expect(commands(listing("drop", "", chain("d-dcos")))).to.deep.equal([JUMP]);
  });
});
