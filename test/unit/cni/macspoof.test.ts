import { expect } from "chai";
import { additionCommands } from "../../../cni/firewall-commands.ts";
import { MAC_SPOOF, macSpoofEntry } from "../../../cni/macspoof.ts";

const OWNER = { network: "dcos", containerId: "web-1", ifname: "eth0" };

describe("the guard against spoofed hardware addresses", () => {
  it("is one rule and two elements for each container", () => {
    const entry = macSpoofEntry(OWNER, "veth01234567", "02:00:00:00:00:05");
    expect(additionCommands(entry, undefined)).to.deep.equal([
      "add table bridge dcos_macspoof",
      "add set bridge dcos_macspoof guarded { type ifname; }",
      "add set bridge dcos_macspoof allowed { type ifname . ether_addr; }",
      "add chain bridge dcos_macspoof prerouting { type filter hook prerouting priority -300; }",
      "add rule bridge dcos_macspoof prerouting iifname @guarded iifname . ether saddr != @allowed drop",
      'create element bridge dcos_macspoof guarded { "veth01234567" comment "dcos web-1 eth0" }',
      'create element bridge dcos_macspoof allowed { "veth01234567" . 02:00:00:00:00:05 comment "dcos web-1 eth0" }',
    ]);
    const [element] = entry.elements;
    expect(element && MAC_SPOOF.describe(element)).to.equal("guard of bridge port veth01234567");
  });
});
