import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { CgroupLink } from "../../kernel/bpf-link.ts";
import { BpfMap } from "../../kernel/bpf-map.ts";
import type { Kernel, Route } from "../../kernel/kernel.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { MAPS, type MapName } from "../../l4lb/dataplanes/socket-layout.ts";
import { systemClock } from "../../lib/clock.ts";
import { needsRoot } from "../support/needs-root.ts";
import { openSocketPlace, type SocketPlace, socketPlaceUnavailable } from "../support/socket-place.ts";
import { deviceAndRoutes, keeps } from "../support/vip-damages.ts";
import type { VipDamage } from "../support/vip-harness.ts";
import { openVipNetwork, type VipNetwork } from "../support/vip-network.ts";

describe("every object of a data plane, deleted by somebody else", function () {
  this.timeout(240_000);
  let network: VipNetwork;
  before(function () {
    needsRoot.call(this);
    network = openVipNetwork();
  });
  after(() => network?.close());

  it("nftables: is put back and named, one by one", () => {
    const { node } = network;
    const open = () => openNftablesDataplane(node, systemClock);
    const damages = keeps(open, node, () => [...nftObjects(node), ...elements(node), ...deviceAndRoutes(routes(node))]);
    expect(damages.filter((what) => what.startsWith("rule "))).to.have.length.greaterThan(20);
    expect(damages.filter((what) => what.startsWith("element "))).to.have.length.greaterThan(20);
    expect(damages.filter((what) => what.startsWith("route "))).to.have.length(3);
  });

  it("socket: is put back and named, one by one", function () {
    const reason = socketPlaceUnavailable();
    if (reason !== undefined) this.skip();
    const place = openSocketPlace();
    try {
      const damages = keeps(
        () => openSocketDataplane(place),
        network.node,
        () => [...links(place), ...maps(place)],
      );
      expect(damages.filter((what) => what.startsWith("link "))).to.have.length.greaterThan(5);
      expect(damages.filter((what) => what.startsWith("element "))).to.have.length.greaterThan(10);
    } finally {
      place.close();
    }
  });
});

/** Chains and rules as `nft` shows them. Chains that rules lead to, and sets, can't be deleted by anybody: they are
 *  emptied. */
function nftObjects(node: Kernel): VipDamage[] {
  const text = node
    .enter(() => Bun.spawnSync(["nft", "-t", "-a", "list", "table", "inet", "dcos_l4lb"]))
    .stdout.toString();
  const damages: VipDamage[] = [nft("table", "delete table inet dcos_l4lb")];
  let block: readonly [kind: string, name: string] = ["", ""];
  for (const line of text.split("\n")) {
    const [, kind, name] = /^\t(chain|set|map) (\S+) \{/.exec(line) ?? [];
    if (kind !== undefined && name !== undefined) block = [kind, name];
    const [, words, handle] = /^\t\t(.*) # handle (\d+)$/.exec(line) ?? [];
    const inChain = block[0] === "chain";
    if (kind === "chain") damages.push(nft(`chain ${name}`, `flush chain inet dcos_l4lb ${name}`));
    else if (/^\t\ttype \w+ hook/.test(line)) damages.push(nft(`base chain ${block[1]}`, ...withoutChain(block[1])));
    else if (inChain && handle !== undefined) {
      damages.push(nft(`rule ${block[1]}: ${words}`, `delete rule inet dcos_l4lb ${block[1]} handle ${handle}`));
    }
  }
  return damages.filter(({ what }) => !EMPTY_CHAINS.includes(what));
}

/** They have rules only where a service has affinity, which none of IPv4 has here, or very many backends. */
const EMPTY_CHAINS = ["chain sticky4", "chain large4", "chain large6"];

function withoutChain(name: string): string[] {
  return [`flush chain inet dcos_l4lb ${name}`, `delete chain inet dcos_l4lb ${name}`];
}

function nft(what: string, ...commands: readonly string[]): VipDamage {
  return { what, do: (node) => node.nftables.run(commands) };
}

/** Elements of a set that are deleted, each by itself: all of them, but for hundreds of slots of one service. */
const ELEMENTS_MOST = 6;

function elements(node: Kernel): VipDamage[] {
  const sets = node.nftables.outline("inet", "dcos_l4lb")?.sets ?? [];
  return sets.flatMap((set) => {
    const all = node.nftables.rawElements("inet", "dcos_l4lb", set) ?? [];
    const some = all.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, ELEMENTS_MOST);
    return some.map((element): VipDamage => {
      const change = { do: "delete", set, elements: [element] } as const;
      return {
        what: `element ${set} ${element.key}`,
        do: (kernel) => kernel.nftables.changeElements("inet", "dcos_l4lb", [change]),
      };
    });
  });
}

function routes(node: Kernel): Route[] {
  return node.routes({ dev: "minuteman" }).filter(({ protocol }) => protocol === 172);
}

function links({ pins }: SocketPlace): VipDamage[] {
  return readdirSync(join(pins, "links")).flatMap((name): VipDamage[] => {
    const path = join(pins, "links", name);
    return [
      { what: `pin of link ${name}`, do: () => rmSync(path) },
      {
        what: `link ${name}`,
        do() {
          const link = CgroupLink.pinned(path);
          link?.detach();
          link?.close();
        },
      },
    ];
  });
}

/** What the maps hold for services; what they remember of clients is nobody's loss. */
const SERVING: readonly MapName[] = ["addresses", "services", "slots", "tables", "members"];

function maps({ pins }: SocketPlace): VipDamage[] {
  const path = (name: MapName) => join(pins, "maps", name);
  const pinned = readdirSync(join(pins, "maps")).map((name): VipDamage => {
    return { what: `pin of map ${name}`, do: () => rmSync(join(pins, "maps", name)) };
  });
  return [...pinned, ...SERVING.flatMap((name) => mapElements(name, path(name)))];
}

/** By their place: a service that is put back has other keys for what belongs to it. */
function mapElements(name: MapName, path: string): VipDamage[] {
  const map = BpfMap.pinned(path, MAPS[name]);
  if (map === undefined) return [];
  const { count, keys } = map.dump();
  map.close();
  return Array.from({ length: count }, (_, place) => ({
    what: `element ${place} of map ${name}`,
    do() {
      const size = MAPS[name].keyBytes;
      const open = BpfMap.pinned(path, MAPS[name]);
      open?.delete(keys.slice(place * size, (place + 1) * size));
      open?.close();
    },
  }));
}
