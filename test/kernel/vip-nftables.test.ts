import type { Kernel } from "../../kernel/kernel.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { parsePrefix } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { vipBehaviour } from "../support/vip-behaviour.ts";
import type { VipDamage } from "../support/vip-harness.ts";

/** Damage done by nft commands. */
function nft(...commands: readonly string[]): VipDamage {
  return { what: commands.join("; "), do: (node) => node.nftables.run(commands) };
}

/** Damage done to an object that is found by its text: the first element of a set or map. */
function firstElement(set: string): VipDamage {
  return {
    what: `delete an element of ${set}`,
    do: (node) => {
      const [element] = node.nftables.rawElements("inet", "dcos_l4lb", set) ?? [];
      if (element === undefined) throw new Error(`${set} has no element`);
      node.nftables.changeElements("inet", "dcos_l4lb", [{ do: "delete", set, elements: [element] }]);
    },
  };
}

const CHAINS = ["choose4", "choose6", "random4", "random6", "note4", "translated4", "translated6", "refuse"];
const BASE_CHAINS = ["prerouting", "output", "input", "postrouting", "forward", "sending"];
const SETS = ["services4", "services6", "backends4", "backends6", "vips4", "vips6", "random4_3", "random6_3"];

const DAMAGES: readonly VipDamage[] = [
  nft("delete table inet dcos_l4lb"),
  nft("flush table inet dcos_l4lb"),
  nft("add table inet dcos_l4lb { flags dormant ; }"),
  nft("add chain inet dcos_l4lb forward { policy drop ; }"),
  ...[...CHAINS, ...BASE_CHAINS].map((chain) => nft(`flush chain inet dcos_l4lb ${chain}`)),
  ...BASE_CHAINS.map((chain) => nft(`flush chain inet dcos_l4lb ${chain}`, `delete chain inet dcos_l4lb ${chain}`)),
  ...SETS.flatMap((set) => [
    firstElement(set),
    nft(`flush ${set.startsWith("random") ? "map" : "set"} inet dcos_l4lb ${set}`),
  ]),
  { what: "delete the device", do: (node) => node.apply([{ do: "link.delete", dev: "minuteman" }]) },
  {
    what: "take the device down",
    do: (node) => node.apply([{ do: "link.set", dev: "minuteman", set: { up: false } }]),
  },
  ...["11.0.0.1/32", "fd11::1/128"].map(
    (dst): VipDamage => ({
      what: `delete the route of ${dst}`,
      do: (node) => node.apply([{ do: "route.delete", route: { dst: parsePrefix(dst), dev: "minuteman" } }]),
    }),
  ),
];

const FOREIGN = [
  "add table inet foreign",
  "add chain inet foreign prerouting { type nat hook prerouting priority -100 ; }",
  "add rule inet foreign prerouting ip daddr 203.0.113.1 tcp dport 80 dnat ip to 10.88.0.13:8080",
  "add set inet foreign mine { type ipv4_addr ; elements = { 11.0.0.1 } ; }",
];

vipBehaviour({
  name: "nftables",
  unavailable: () => (process.getuid?.() === 0 ? undefined : "making network namespaces needs root"),
  open: (node) => openNftablesDataplane(node, systemClock),
  damages: DAMAGES,
  foreign: {
    make(node) {
      node.nftables.run(FOREIGN);
      node.apply([
        { do: "link.add", link: { kind: "bridge", name: "foreign0", up: true } },
        { do: "route.add", route: { dst: parsePrefix("203.0.113.0/24"), dev: "foreign0" } },
      ]);
    },
    look: (node) => `${node.nftables.table("inet", "foreign")} ${node.routes({ dev: "foreign0" }).length}`,
  },
  left: ruleset,
});

/** All tables, by the nft tool. */
function ruleset(node: Kernel): string {
  return node.enter(() => Bun.spawnSync(["nft", "list", "ruleset"])).stdout.toString();
}
