import { expect } from "chai";
import fc from "fast-check";
import { answer } from "../../../dns/answer.ts";
import { RCODE, TYPE } from "../../../dns/codes.ts";
import { isUnder, parentOf } from "../../../dns/name.ts";
import { aliases, LOCAL_ZONES, recordsOf, type Subject } from "../../../dns/naming.ts";
import { typeOf } from "../../../dns/record.ts";
import type { Reply } from "../../../dns/reply.ts";
import { dcosZone } from "../../../dns/zone.ts";
import { Zones } from "../../../dns/zones.ts";
import { taskWith } from "../../support/dns.ts";

const ALIASES = "x.thisdcos.directory";
const word = fc.oneof(
  fc.string({ maxLength: 70 }),
  fc.string({ unit: fc.constantFrom("a", "B", "1", "-", "_", ".", "/", "é"), maxLength: 70 }),
  fc.constantFrom("web", "db", "marathon"),
);
const address = fc.oneof(
  fc.tuple(fc.nat(3), fc.nat(255)).map(([a, b]) => `9.0.${a}.${b}`),
  fc.nat(0xfffe).map((number) => `fd01:b::${(number + 1).toString(16)}`),
);
const addresses = fc.uniqueArray(address, { maxLength: 4 });
const port = fc.record({
  protocol: fc.constantFrom("tcp" as const, "udp" as const),
  container: fc.integer({ min: 1, max: 65_535 }),
  vips: fc.constant([]),
});
const named = fc.tuple(port, fc.option(word), fc.option(fc.integer({ min: 1, max: 65_535 })));
const ports = fc.array(
  named.map(([each, name, host]) => ({ ...each, ...(name !== null && { name }), ...(host !== null && { host }) })),
  { maxLength: 3 },
);
const task = fc.record({
  id: word,
  name: word,
  framework: fc.record({ id: fc.constant("F1"), name: word }),
  addresses: addresses.map((list) => list.map((each) => ({ address: each }))),
  mode: fc.constantFrom("host" as const, "bridge" as const, "container" as const),
  state: fc.constantFrom("running" as const, "running" as const, "terminal" as const),
  ports,
});
const custom = fc.constantFrom("a", "b", "c.a").map((label) => `${label}.${ALIASES}`);
const subject: fc.Arbitrary<Subject> = fc.oneof(
  fc.constant<Subject>({ kind: "fixed" }),
  fc
    .record({ masters: addresses, leader: addresses, node: addresses, publicNode: addresses })
    .map((cluster) => ({ kind: "cluster", cluster }) as const),
  fc.record({ name: word, addresses }).map((node) => ({ kind: "node", node }) as const),
  task.map((changes) => ({ kind: "task", task: taskWith(changes) }) as const),
  fc.record({ label: word, framework: word, addresses }).map((vip) => ({ kind: "vip", vip }) as const),
  fc.tuple(custom, custom).map(([name, target]) => ({ kind: "custom", alias: { name, target } }) as const),
);
/** Those that we know, one that we don't, and the greatest that is no question about several types. */
const TYPES = [...Object.values(TYPE).filter((type) => type < TYPE.OPT || type === TYPE.ANY), 65, 257, 0xfeff];

function namesAndThoseAbove(zones: Zones): Set<string> {
  const apexes = new Set(zones.zones().map(({ name }) => name));
  const all = new Set<string>();
  for (const { name } of zones) {
    for (let each = name; !all.has(each); each = parentOf(each)) {
      all.add(each);
      if (apexes.has(each)) break;
    }
  }
  return all;
}

function ask(zones: Zones, name: string, type: number, overUdp: boolean): Reply {
  const query = { id: 0, flags: 0, name, type, question: new Uint8Array(0), edns: undefined };
  const reply = answer(query, zones, { aliases: aliases(), overUdp });
  if (reply === undefined) throw new Error(`${name} is nowhere`);
  return reply;
}

/** Either records of the type and nothing else, or none and the SOA record of the zone. */
function checkExists(zones: Zones, name: string, type: number, overUdp: boolean): void {
  const said = `${name} ${type}`;
  const { rcode, authoritative, answers, authority } = ask(zones, name, type, overUdp);
  const [first] = answers;
  // The operator's aliases may lead round in a circle, or to where nothing is.
  if (isUnder(name, ALIASES) && (first?.data.type === "CNAME" || rcode === RCODE.SERVFAIL)) return;
  expect([rcode, authoritative], said).to.deep.equal([RCODE.NOERROR, true]);
  for (const { data } of answers) expect([typeOf(data), TYPE.ANY], said).to.include(type);
  const soas = authority.map(({ name: owner, ttl, data }) => `${owner} ${ttl} ${data.type}`);
  expect(soas, said).to.deep.equal(first === undefined ? [`${zones.zoneOf(name)?.name} 1 SOA`] : []);
}

describe("a name that the naming rules make, and each above it,", function () {
  this.timeout(30_000);

  it("exists for every type: either it has records of it, or the zone's SOA says that it has none", () => {
    fc.assert(
      fc.property(fc.array(subject, { minLength: 1, maxLength: 8 }), fc.boolean(), (subjects, overUdp) => {
        const zones = new Zones([...LOCAL_ZONES, "9.in-addr.arpa", "ip6.arpa"].map(dcosZone));
        for (const [index, each] of subjects.entries()) zones.put(String(index), recordsOf(each));
        for (const name of namesAndThoseAbove(zones)) {
          for (const type of TYPES) checkExists(zones, name, type, overUdp);
        }
      }),
      { numRuns: 60 },
    );
  });
});
