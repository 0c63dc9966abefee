import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { deriveClusterKey } from "../../gossip/key.ts";
import { GossipNode } from "../../gossip/node.ts";
import { startTransport } from "../../gossip/transport.ts";
import { systemClock } from "../../lib/clock.ts";
import { jsonLog } from "../../lib/log.ts";

// A node as a process of its own, with the real transport, for benchmarks and tests:
//   bun test/support/gossip-node.ts --name a --address 127.0.0.1:7001 --seed 127.0.0.1:7000 --secret 0123456789abcdef
// Prints a JSON line for each change of its members, and for each line `counts` or `write KEY VALUE` on its standard input.

const { values } = parseArgs({
  options: {
    name: { type: "string", default: "node" },
    address: { type: "string", default: "127.0.0.1:62501" },
    seed: { type: "string", multiple: true, default: [] },
    secret: { type: "string", default: "a secret for tests only" },
    identity: { type: "string" },
  },
});

const print = (line: object): void => console.log(JSON.stringify({ at: Date.now(), ...line }));
const node = new GossipNode({
  name: values.name,
  address: values.address,
  seeds: values.seed,
  clock: systemClock,
  random: Math.random,
  emit: (event) => {
    if (event.type === "member") {
      print({ event: "member", name: event.record.name, status: event.status });
    } else if (event.type === "facts") {
      print({ event: "facts", owner: event.owner, keys: event.changes.map(({ key }) => key) });
    }
  },
});
const transport = await startTransport({
  node,
  listen: values.address,
  keys: { primary: deriveClusterKey(Buffer.from(values.secret), values.identity), others: [] },
  clock: systemClock,
  log: jsonLog(
    "gossip",
    "info",
    () => new Date(),
    (line) => process.stderr.write(line),
  ),
  randomBytes,
});
print({ event: "started" });

for await (const line of console) {
  const [verb, key = "", value = ""] = line.split(" ");
  if (verb === "counts") print({ event: "counts", ...transport.counts(), members: node.members.present });
  if (verb === "write") transport.send(node.write([{ key, value: Buffer.from(value) }]));
  if (verb === "leave") break;
}
transport.stop(true);
process.exit(0);
