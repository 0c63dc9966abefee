import type { Mac } from "../kernel/kernel.ts";
import type { FirewallEntry, FirewallTable } from "./firewall-commands.ts";
import type { Owner } from "./firewall-owner.ts";

/** Source addresses of frames from containers (`macspoofchk`): a guarded bridge port may send only with the hardware
 *  address that its container was given. */
export const MAC_SPOOF: FirewallTable = {
  family: "bridge",
  name: "dcos_macspoof",
  sets: [
    { name: "guarded", kind: "set", type: "ifname" },
    { name: "allowed", kind: "set", type: "ifname . ether_addr" },
  ],
  chains: [
    {
      name: "prerouting",
      hook: "type filter hook prerouting priority -300;",
      rules: ["iifname @guarded iifname . ether saddr != @allowed drop"],
    },
  ],
  describe: ({ key: [port] }) => `guard of bridge port ${port}`,
};

/** Firewall entry that lets bridge port `port`, the host's end of the container's pair, send only as `mac`. */
export function macSpoofEntry(owner: Owner, port: string, mac: Mac): FirewallEntry {
  return {
    table: MAC_SPOOF,
    owner,
    chains: [],
    elements: [
      { set: "guarded", key: [port], data: [] },
      { set: "allowed", key: [port, mac], data: [] },
    ],
    addresses: [port],
    rivals: [],
  };
}
