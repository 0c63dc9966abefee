import { expect } from "chai";
import type { Link } from "../../../kernel/kernel.ts";
import { planPorts } from "../../../overlay/ports.ts";

const LINK: Link = {
  index: 7,
  name: "veth0",
  kind: "veth",
  mac: "0a:00:00:00:00:01",
  mtu: 1450,
  up: true,
  loopback: false,
  running: true,
  promiscuous: false,
  alias: "dcos-net dcos web eth0",
  master: undefined,
  peer: undefined,
  vxlan: undefined,
  bridge: undefined,
  bridgePort: undefined,
};
const DCOS = { name: "dcos", bridge: "m-dcos", mtu: 1450, ranges: [], inside: [] };

describe("the ports of an overlay's bridge", () => {
  it("are the free host ends of its containers, joined with hairpin", () => {
    expect(planPorts([DCOS], [LINK])).to.deep.equal([
      { do: "link.set", dev: "veth0", set: { master: "m-dcos" } },
      { do: "port.set", dev: "veth0", set: { hairpin: true } },
    ]);
  });

  for (const [what, changes] of [
    ["on another bridge", { master: 12 }],
    ["of a network whose name only begins alike", { alias: "dcos-net dcos6 web eth0" }],
    ["without an alias", { alias: undefined }],
    ["of another kind", { kind: "dummy" }],
  ] as const) {
    it(`are not links ${what}`, () => {
      expect(planPorts([DCOS], [{ ...LINK, ...changes }])).to.deep.equal([]);
    });
  }

  it("are left alone where something else has the bridge's name", () => {
    expect(planPorts([DCOS], [LINK, { ...LINK, name: "m-dcos", alias: undefined }])).to.deep.equal([]);
  });
});
