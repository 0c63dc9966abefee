import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { CgroupLink } from "../../kernel/bpf-link.ts";
import { BpfMap } from "../../kernel/bpf-map.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { VipKeeper } from "../../l4lb/apply.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { MAPS, type MapName } from "../../l4lb/dataplanes/socket-layout.ts";
import { newVipMetrics } from "../../l4lb/metric.ts";
import { type Service, serviceName } from "../../l4lb/service.ts";
import { formatPrefix } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { needsRoot } from "../support/needs-root.ts";
import { openSocketPlace, type SocketPlace, socketPlaceUnavailable } from "../support/socket-place.ts";
import type { VipDamage } from "../support/vip-harness.ts";
import { openVipNetwork, type VipNetwork } from "../support/vip-network.ts";
import { service, sorted } from "../support/vip-services.ts";

/** Something of everything: both families and protocols, weights, every scheduler, affinity. */
const SERVICES: readonly Service[] = [
  service("tcp 11.0.0.1:80", ["10.88.0.11", ["10.88.0.12", 3]]),
  service("udp 11.0.0.1:53", ["10.88.0.11"], { scheduler: "rr" }),
  service("tcp 11.0.0.2:443", ["10.88.0.12", "10.88.0.13"], { scheduler: "mh" }),
  service("tcp [fd11::1]:80", ["fd88::11", "fd88::12"], { affinity: 300 }),
  service("udp [fd11::1]:53", ["fd88::13"], { scheduler: "sh" }),
];

describe("every object of a data plane, deleted by somebody else", function () {
  this.timeout(60_000);
  let network: VipNetwork;
  before(function () {
    needsRoot.call(this);
    network = openVipNetwork();
  });
  after(() => network?.close());

  it("nftables: is put back and named, one by one", () => {
    const { node } = network;
    const open = () => openNftablesDataplane(node, systemClock);
    const damages = keeps(open, node, () => [...nftObjects(node), ...elements(node), ...deviceAndRoutes(node)]);
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

/** Lets a keeper make the services; then, for each object that `list` finds in the kernel, deletes it and expects that
 *  the next pass puts it back and names something, and that all is as before. Returns what was deleted. */
function keeps(open: () => Dataplane, node: Kernel, list: () => readonly VipDamage[]): string[] {
  const dataplane = open();
  const keeper = new VipKeeper({ dataplane, metrics: newVipMetrics(), monotonic: () => 0 });
  const wanted = new Map(SERVICES.map((each) => [serviceName(each), each]));
  const done: string[] = [];
  try {
    keeper.reconcile(wanted, true);
    keeper.reconcile(wanted, true);
    const whole = look(open, node, list);
    const all = new Set(list().map(({ what }) => what));
    for (const what of all) {
      // Its handle may be another one by now.
      const damage = list().find((each) => each.what === what);
      expect(damage, what).to.not.equal(undefined);
      damage?.do(node);
      const { repaired, refused } = keeper.reconcile(wanted, true);
      expect(refused, what).to.deep.equal([]);
      expect(repaired, `named, after ${what} was deleted`).to.not.deep.equal([]);
      // What is found to be there in part is complete with the next pass at the latest.
      keeper.reconcile(wanted, true);
      expect(look(open, node, list), what).to.deep.equal(whole);
      done.push(what);
    }
  } finally {
    dataplane.remove();
    dataplane.close();
  }
  return done;
}

/** All that stands, and what another data plane of this kind reads. */
function look(open: () => Dataplane, node: Kernel, list: () => readonly VipDamage[]) {
  const other = open();
  const { made } = other.prepare();
  const services = sorted(other.read());
  other.close();
  const objects = list().map(({ what }) => what);
  return { made, services, objects: objects.sort(), device: node.link("minuteman")?.up };
}

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
  return damages.filter(({ what }) => what !== EMPTY_CHAIN);
}

/** It has rules only where a service has affinity, which none of this family has here. */
const EMPTY_CHAIN = "chain sticky4";

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

function deviceAndRoutes(node: Kernel): VipDamage[] {
  const dev = "minuteman";
  return [
    { what: "device", do: (kernel) => kernel.apply([{ do: "link.delete", dev }]) },
    { what: "state of the device", do: (kernel) => kernel.apply([{ do: "link.set", dev, set: { up: false } }]) },
    ...node
      .routes({ dev })
      .filter(({ protocol }) => protocol === 172)
      .map((route): VipDamage => {
        return {
          what: `route ${formatPrefix(route.dst)}`,
          do: (kernel) => kernel.apply([{ do: "route.delete", route }]),
        };
      }),
  ];
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
