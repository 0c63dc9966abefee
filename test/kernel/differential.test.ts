import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describeOperation } from "../../kernel/encode.ts";
import { openFake } from "../../kernel/fake.ts";
import type { Kernel, Operation } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { NetError } from "../../lib/error.ts";
import { needsRoot } from "../support/needs-root.ts";
import { openFixture, snapshot, textOf } from "./fixture.ts";
import {
  address,
  bridge,
  down,
  dropNeighbor,
  fdb,
  neighbor,
  remove,
  route,
  rule,
  set,
  up,
  veth,
  vxlan,
} from "./operations.ts";

const RUNS = Number(process.env["DIFFERENTIAL_RUNS"] ?? "60");
const OPERATIONS_MAX = 40;
/** Random addresses differ from machine to machine; these are ours. */
const OURS = "0a:00:00:00:00:";
const ZERO_MAC = "00:00:00:00:00:00";

/** A small world, so that operations meet. */
const BRIDGES = ["br0", "br1"];
const PAIRS = [
  ["v0", "w0"],
  ["v1", "w1"],
  ["v0", "v1"],
] as const;
const LINKS = ["br0", "br1", "v0", "v1", "w0", "w1", "vx0", "vx1", "lo", "none"];
const SUBNETS = ["10.1.0", "10.2.0"];
const DESTINATIONS = ["10.8.0.0/24", "10.8.0.0/16", "10.8.0.1/32", "0.0.0.0/0", "10.1.0.0/24"];
const DESTINATIONS_6 = ["fd08::/64", "fd08::1/128", "::/0", "fd01::/64"];
const GATEWAYS = ["10.1.0.2", "10.1.0.3", "10.2.0.2", "192.0.2.7", "10.1.0.255"];
/** No addresses of ours: Linux notices those only when work that it has put off is done. */
const GATEWAYS_6 = ["fd01::8", "fd01::9", "fd02::8", "fd55::7", "fe80::7"];

const from = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const dev = from(LINKS);
/** The loopback is a world of its own: its subnets are local as a whole, IPv6 routes over it become unreachable, all
 *  its neighbours are one. Nobody asks for any of that here. */
const ports = from(LINKS.filter((name) => name !== "lo"));
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const mac = fc.integer({ min: 1, max: 9 }).map((number) => `${OURS}0${number}`);
const mtu = from([68, 1280, 1400, 1500, 67, 65536]);

/** Without the keys whose value is undefined. */
function given<T extends object>(value: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}

const address4 = fc
  .tuple(from(SUBNETS), fc.integer({ min: 1, max: 3 }), from([24, 25, 32]))
  .map(([subnet, host, length]) => `${subnet}.${host}/${length}`);
const address6 = fc
  .tuple(from(["fd01", "fd02"]), fc.integer({ min: 1, max: 3 }), from([64, 128]))
  .map(([subnet, host, length]) => `${subnet}::${host}/${length}`);

const makeLink: fc.Arbitrary<Operation> = fc.oneof(
  fc
    .record({ name: from(BRIDGES), mac: maybe(mac), mtu: maybe(mtu), up: fc.boolean() })
    .map(({ name, ...rest }) => bridge(name, given(rest))),
  fc
    .record({ pair: from(PAIRS), mac, peerMac: mac, up: fc.boolean(), mtu: maybe(mtu) })
    .map(({ pair: [name, peer], peerMac, ...rest }) =>
      veth(name, peer, { ...given(rest), peer: { name: peer, mac: peerMac } }),
    ),
  fc
    .record({ name: from(["vx0", "vx1"]), vni: from([5, 6]), mac, up: fc.boolean() })
    .map(({ name, ...rest }) => vxlan(name, rest)),
);

const changeLink: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: dev.map(up) },
  dev.map(down),
  dev.map(remove),
  fc.tuple(dev, from([...BRIDGES, "v0", null])).map(([name, master]) => set(name, { master })),
  fc.tuple(dev, mac).map(([name, value]) => set(name, { mac: value })),
  fc.tuple(ports, mtu).map(([name, value]) => set(name, { mtu: value })),
  fc.tuple(ports, dev).map(([name, other]) => set(name, { name: other })),
  fc
    .tuple(dev, fc.boolean(), fc.boolean())
    .map(([name, hairpin, isolated]): Operation => ({ do: "port.set", dev: name, set: { hairpin, isolated } })),
);

const changeAddress: fc.Arbitrary<Operation> = fc
  .tuple(from(["add", "add", "add", "replace", "delete"] as const), ports, fc.oneof(address4, address6))
  .map(([verb, name, text]) => address(verb, name, text, text.includes(":") ? { noDad: true } : {}));

const verb = from(["add", "add", "append", "replace", "delete"] as const);

const changeRoute: fc.Arbitrary<Operation> = fc.oneof(
  fc
    .record({
      gateway: maybe(from(GATEWAYS)),
      dev: maybe(dev),
      priority: maybe(from([5, 6])),
      source: maybe(from(["10.1.0.1", "10.2.0.1"])),
      onlink: maybe(fc.boolean()),
      table: maybe(from([42, 254])),
    })
    .chain((rest) => fc.tuple(verb, from(DESTINATIONS)).map(([how, dst]) => route(how, dst, given(rest)))),
  fc
    .record({
      gateway: maybe(from(GATEWAYS_6)),
      dev: maybe(ports),
      priority: maybe(from([5, 6])),
      table: maybe(from([42])),
    })
    .chain((rest) => fc.tuple(verb, from(DESTINATIONS_6)).map(([how, dst]) => route(how, dst, given(rest)))),
);

const changeEntry: fc.Arbitrary<Operation> = fc.oneof(
  fc
    .tuple(from(["add", "replace"] as const), ports, from([...GATEWAYS, ...GATEWAYS_6]), mac)
    .map(([how, name, ip, value]) => neighbor(how, name, ip, value)),
  fc.tuple(ports, from([...GATEWAYS, ...GATEWAYS_6])).map(([name, ip]) => dropNeighbor(name, ip)),
  fc
    .tuple(
      from(["add", "replace", "delete"] as const),
      from(["vx0", "vx1", "none"]),
      mac,
      from([...GATEWAYS, "fd01::2"]),
    )
    .map(([how, name, value, ip]) => fdb(how, name, value, ip)),
);

const changeRule: fc.Arbitrary<Operation> = fc
  .tuple(from(["add", "delete"] as const), from(["10.0.0.0/8", "fd00::/8"]), maybe(from([100, 101])))
  .map(([how, source, priority]) => rule(how, source, given({ priority })));

const operation = fc.oneof(
  { weight: 4, arbitrary: makeLink },
  { weight: 5, arbitrary: changeLink },
  { weight: 4, arbitrary: changeAddress },
  { weight: 5, arbitrary: changeRoute },
  { weight: 3, arbitrary: changeEntry },
  { weight: 1, arbitrary: changeRule },
);

/** What is the same on every machine. */
function comparable(kernel: Kernel): object {
  const { links, ...rest } = snapshot(kernel);
  const known = (text: string) => (text.startsWith(OURS) || text === ZERO_MAC ? text : "random");
  return { links: links.map((link) => ({ ...link, mac: known(link.mac) })), ...rest };
}

function errnoOf(error: Error | undefined): string {
  if (error === undefined) return "done";
  return error instanceof NetError ? (error.errno ?? error.code) : error.message;
}

/** Tells both the operations one by one; the first after which they differ, in words. */
function firstDifference(fake: Kernel, real: Kernel, operations: readonly Operation[]): string | undefined {
  const told: string[] = [];
  for (const each of operations) {
    const [inMemory, onLinux] = [fake, real].map((kernel) => errnoOf(kernel.attempt([each])[0]));
    told.push(`${describeOperation(each)}: ${onLinux}`);
    const state = linesOnlyIn(comparable(fake), comparable(real));
    if (inMemory === onLinux && state.length === 0) continue;
    return [...told, `the kernel in memory says ${inMemory}, and of the state:`, ...state].join("\n");
  }
  return undefined;
}

function linesOnlyIn(inMemory: object, onLinux: object): string[] {
  const [fakes, reals] = [inMemory, onLinux].map((state) =>
    Object.values(state).flatMap((list: readonly unknown[]) => list.map(textOf)),
  );
  return [
    ...(fakes ?? []).filter((line) => reals?.includes(line) !== true).map((line) => `in memory: ${line}`),
    ...(reals ?? []).filter((line) => fakes?.includes(line) !== true).map((line) => `on Linux: ${line}`),
  ];
}

describe("the kernel in memory, beside the kernel of this machine", function () {
  this.timeout(RUNS * 2000);
  before(needsRoot);

  it("does and refuses the same, whatever it is told", () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-differential-"));
    const linux = openLinux();
    try {
      fc.assert(
        fc.property(fc.array(operation, { maxLength: OPERATIONS_MAX, size: "max" }), (operations) => {
          const real = openFixture(linux, folder, () => undefined);
          try {
            // A namespace that never had an IPv4 address has no table of local addresses, and takes every gateway for a
            // broadcast address; the loopback's address puts that right.
            const difference = firstDifference(openFake(), real.kernel, [up("lo"), ...operations]);
            if (difference !== undefined) throw new Error(difference);
          } finally {
            real.close();
          }
        }),
        // The same sequences every time: a difference that chance would find now and then must not make a test
        // unsteady.
        { numRuns: RUNS, seed: 7, endOnFailure: false },
      );
    } finally {
      linux.close();
      rmSync(folder, { recursive: true });
    }
  });
});
