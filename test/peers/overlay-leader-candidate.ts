// A master for the tests: stands for leadership on the ZooKeeper given, takes `<id> <address>` lines on its input as nodes that
// appeared, and writes a JSON line for everything that it publishes.
import { createInterface } from "node:readline";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { startCampaign } from "../../overlay/leader/campaign.ts";
import { DEFAULT_NETWORK, parseOverlayNetwork } from "../../overlay/leader/network.ts";
import { defaultWish, type NodeFact } from "../../overlay/leader/types.ts";
import { zooKeeperStore } from "../../overlay/leader/zookeeper-store.ts";
import { parseZooKeeperUrl } from "../../overlay/leader/zookeeper-url.ts";

const [url = "", name = "", sessionMs = "2000"] = process.argv.slice(2);
const nodes = new Map<string, NodeFact>();
const say = (value: object) => console.log(JSON.stringify(value));
const note = (event: string, fields: object = {}) => say({ event, ...fields });

const campaign = startCampaign({
  store: zooKeeperStore({
    url: parseZooKeeperUrl(url),
    clock: systemClock,
    sessionMs: Number(sessionMs),
    name,
  }),
  network: parseOverlayNetwork(DEFAULT_NETWORK),
  live: (id) => nodes.get(id),
  containers: () => 0,
  nodes: () => nodes.values(),
  publish: ({ assignments }) => {
    for (const { node, epoch, vtep } of assignments) say({ event: "published", node, epoch, mac: vtep?.mac });
  },
  log: { debug: note, info: note, warn: note, error: note },
  clock: systemClock,
  random: Math.random,
});

createInterface({ input: process.stdin }).on("line", (line) => {
  const [id = "", address = ""] = line.split(" ");
  const fact = { id, address: parseIp(address), address6: undefined, wish: defaultWish("agent") };
  nodes.set(id, fact);
  campaign.observe(fact);
});
