import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { formatIp, formatPrefix } from "../../../lib/address.ts";
import { NetError } from "../../../lib/error.ts";
import type { Cluster, ClusterNode } from "../../../overlay/cluster.ts";
import { parseNodesFile } from "../../../overlay/nodes-file.ts";

const NODES = [
  { name: "n1", address: "10.0.0.1" },
  { name: "n2", address: "10.0.0.2" },
  { name: "n3", address: "10.0.0.3" },
];

function parse(value: object): Cluster {
  return parseNodesFile(JSON.stringify(value));
}

function refusalOf(action: () => unknown): NetError {
  try {
    action();
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** A node in words: endpoint, hardware address, subnets. */
function shown(node: ClusterNode | undefined): Record<string, string> {
  if (node === undefined) return {};
  const subnets = [...node.subnets].flatMap(([name, { v4, v6 }]) => [
    ...(v4 === undefined ? [] : [[name, formatPrefix(v4)] as const]),
    ...(v6 === undefined ? [] : [[`${name}/6`, formatPrefix(v6)] as const]),
  ]);
  const vtep6 = node.vtep.ip6;
  return {
    address: formatIp(node.address),
    vtep: formatPrefix(node.vtep.ip),
    vtep6: vtep6 === undefined ? "" : formatPrefix(vtep6),
    mac: node.vtep.mac,
    ...Object.fromEntries(subnets),
  };
}

describe("the nodes file", () => {
  it("needs only names and addresses, and then has the addresses of DC/OS", () => {
    const cluster = parse({ nodes: NODES });
    expect(cluster).to.include({ vni: 1024, port: 64_000, overlayMtu: undefined, vtepMtu: undefined });
    expect(cluster.overlays.map(({ name }) => name)).to.deep.equal(["dcos", "dcos6"]);
    expect(shown(cluster.nodes[1])).to.deep.equal({
      address: "10.0.0.2",
      vtep: "44.128.0.2/20",
      vtep6: "fd01:a::2/64",
      mac: "70:b3:d5:80:00:02",
      dcos: "9.0.1.0/24",
      "dcos6/6": "fd01:b:0:0:1::/80",
    });
  });

  const recorded = `${process.env["DCOS_NET_FIXTURES"]}/dcos-config/dcos_overlay_network-default.json`;
  const title = "takes a dcos_overlay_network object as it is, with nodes added";
  if (existsSync(recorded)) {
    it(title, () => {
      const dcos = JSON.parse(readFileSync(recorded, "utf8"));
      expect(parse({ ...dcos, nodes: NODES })).to.deep.equal(parse({ nodes: NODES }));
    });
  } else {
    it(`${title} (skipped: DCOS_NET_FIXTURES names no folder with dcos-config)`);
  }

  for (const page of ["README.md", "docs/configuration.md"]) {
    it(`is taken as ${page} shows it`, () => {
      const text = readFileSync(new URL(`../../../${page}`, import.meta.url), "utf8");
      const examples = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, example = ""]) => example);
      const example = examples.find((each) => each.includes('"nodes"'));
      expect(parseNodesFile(example ?? "").nodes.map(({ name }) => name)).to.deep.equal(["node-a", "node-b"]);
    });
  }

  it("is taken as the manual shows it, with the addresses that the manual names", () => {
    const manual = readFileSync(new URL("../../../overlay/README.md", import.meta.url), "utf8");
    const example = /```json\n([\s\S]*?)```/.exec(manual)?.[1];
    expect(shown(parseNodesFile(example ?? "").nodes[1])).to.deep.equal({
      address: "192.168.7.12",
      vtep: "44.128.0.2/20",
      vtep6: "fd01:a::2/64",
      mac: "70:b3:d5:80:00:02",
      dcos: "9.0.1.0/24",
      "dcos/6": "fd01:b:0:0:1::/80",
      payments: "10.64.1.0/24",
    });
  });

  it("gives each node an endpoint and subnets of its own, whatever the size", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 16, max: 20 }), (count, length) => {
        const nodes = Array.from({ length: count }, (_, index) => ({
          name: `n${index}`,
          address: `10.0.${index >>> 8}.${index & 255}`,
        }));
        const cluster = parse({ nodes, vtep_subnet: `44.128.0.0/${length}` });
        for (const key of ["vtep", "vtep6", "mac", "dcos", "dcos6/6"]) {
          expect(new Set(cluster.nodes.map((node) => shown(node)[key])).size).to.equal(count);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("lets a node keep its index while others come and go", () => {
    const [first, ...others] = NODES;
    const all = parse({
      nodes: [
        { ...first, index: 0 },
        { ...others[0], index: 1 },
        { ...others[1], index: 2 },
      ],
    });
    const without = parse({
      nodes: [
        { ...others[1], index: 2 },
        { name: "new", address: "10.0.0.9" },
      ],
    });
    expect(without.nodes[0]).to.deep.equal(all.nodes[2]);
    expect(shown(without.nodes[1])["vtep"]).to.equal("44.128.0.1/20");
  });

  it("gives nodes without an index the lowest ones that are free", () => {
    const cluster = parse({ nodes: [{ ...NODES[0] }, { ...NODES[1], index: 0 }, { ...NODES[2] }] });
    expect(cluster.nodes.map((node) => formatIp(node.vtep.ip.ip))).to.deep.equal([
      "44.128.0.2",
      "44.128.0.1",
      "44.128.0.3",
    ]);
  });

  it("lets single subnets be fixed", () => {
    const cluster = parse({
      nodes: [{ ...NODES[0], subnets: { dcos: "9.9.9.0/24" }, subnets6: { dcos6: "fd01:b:0:0:77::/80" } }, NODES[1]],
    });
    expect(shown(cluster.nodes[0])).to.include({ dcos: "9.9.9.0/24", "dcos6/6": "fd01:b:0:0:77::/80" });
    expect(shown(cluster.nodes[1])).to.include({ dcos: "9.0.1.0/24" });
  });

  it("leaves disabled overlays out but minds their addresses and the keys of their nodes", () => {
    const overlays = [
      { name: "a", subnet: "9.0.0.0/8", prefix: 24 },
      { name: "b", subnet: "10.64.0.0/12", prefix: 24, enabled: false },
    ];
    const nodes = [{ name: "n1", address: "192.168.1.1", subnets: { b: "10.64.9.0/24" } }];
    expect(parse({ overlays, nodes }).overlays.map(({ name }) => name)).to.deep.equal(["a"]);
    overlays.push({ name: "c", subnet: "10.65.0.0/16", prefix: 24, enabled: true });
    expect(refusalOf(() => parse({ overlays, nodes })).message).to.include("overlaps");
  });

  it("may have overlays of both families, isolated ones, and none at all", () => {
    const overlays = [
      { name: "both", subnet: "9.0.0.0/8", prefix: 24, subnet6: "fd01:b::/64", prefix6: 80, isolated: true },
    ];
    const cluster = parse({ overlays, nodes: NODES });
    expect(cluster.overlays[0]?.isolated).to.equal(true);
    expect(shown(cluster.nodes[2])).to.include({ both: "9.0.2.0/24", "both/6": "fd01:b:0:0:2::/80" });
    expect(parse({ overlays: [], nodes: NODES }).overlays).to.deep.equal([]);
  });

  it("clears host bits of networks, as the reference", () => {
    const overlays = [{ name: "a", subnet: "9.1.2.3/8", prefix: 24 }];
    expect(shown(parse({ overlays, nodes: NODES }).nodes[0])).to.include({ a: "9.0.0.0/24" });
  });

  const node = { name: "n1", address: "10.0.0.1" };
  const overlay = { name: "a", subnet: "9.0.0.0/8", prefix: 24 };
  const refused: readonly (readonly [string, object, string])[] = [
    ["an unknown key", { nodes: [], vtep_subent: "44.0.0.0/8" }, "vtep_subent: is not known here"],
    ["no nodes key", {}, "nodes: is required"],
    ["nodes that are no list", { nodes: {} }, "nodes: must be a list"],
    ["a node that is no object", { nodes: ["n1"] }, "nodes[0]: must be an object"],
    ["an unknown key of a node", { nodes: [{ ...node, adress: "" }] }, "nodes[0].adress: is not known here"],
    ["a node without a name", { nodes: [{ address: "10.0.0.1" }] }, "nodes[0].name: is required"],
    ["a node without an address", { nodes: [{ name: "n1" }] }, "nodes[0].address: is required"],
    ["a node name with a slash", { nodes: [{ ...node, name: "a/b" }] }, "nodes[0].name: must be 1 to 253"],
    ["a name of the wrong type", { nodes: [{ ...node, name: 7 }] }, "nodes[0].name: must be text, not 7"],
    [
      "an IPv6 address under address",
      { nodes: [{ ...node, address: "fd00::1" }] },
      "nodes[0].address: must be an IPv4",
    ],
    [
      "an IPv4 address under address6",
      { nodes: [{ ...node, address6: "10.0.0.1" }] },
      "nodes[0].address6: must be an IPv6",
    ],
    ["a name twice", { nodes: [node, { ...node, address: "10.0.0.2" }] }, "nodes[1].name: n1 is used by nodes[0].name"],
    ["an address twice", { nodes: [node, { ...node, name: "n2" }] }, "nodes[1].address: 10.0.0.1 is used by nodes[0]"],
    [
      "an index twice",
      {
        nodes: [
          { ...node, index: 3 },
          { ...NODES[1], index: 3 },
        ],
      },
      "nodes[1].index: 3 is that of",
    ],
    ["a negative index", { nodes: [{ ...node, index: -1 }] }, "nodes[0].index: must be a whole number from 0"],
    ["an index past the pool", { nodes: [{ ...node, index: 4094 }] }, "nodes[0].index: 4094 is past the last endpoint"],
    [
      "an index past the subnets",
      { overlays: [{ ...overlay, subnet: "9.0.0.0/22" }], nodes: [{ ...node, index: 4 }] },
      "nodes[0].index: 4 is past the last of 4 subnets of overlay a",
    ],
    [
      "a node inside an overlay",
      { nodes: [{ ...node, address: "9.0.0.7" }] },
      "nodes[0].address: 9.0.0.7 lies inside overlay",
    ],
    ["a node inside the vtep subnet", { nodes: [{ ...node, address: "44.128.0.9" }] }, "lies inside the vtep subnet"],
    [
      "a fixed subnet of an unknown overlay",
      { nodes: [{ ...node, subnets: { x: "9.0.0.0/24" } }] },
      "nodes[0].subnets.x: is not",
    ],
    [
      "a fixed subnet outside",
      { nodes: [{ ...node, subnets: { dcos: "10.0.0.0/24" } }] },
      "nodes[0].subnets.dcos: must be a /24",
    ],
    [
      "a fixed subnet of another length",
      { nodes: [{ ...node, subnets: { dcos: "9.0.0.0/25" } }] },
      "must be a /24 of 9.0.0.0/8",
    ],
    [
      "a fixed subnet that another node has",
      { nodes: [node, { ...NODES[1], subnets: { dcos: "9.0.0.0/24" } }] },
      "nodes[1].subnets.dcos: 9.0.0.0/24 is that of nodes[0]",
    ],
    [
      "a reserved overlay name",
      { overlays: [{ ...overlay, name: "host" }], nodes: [] },
      'overlays[0].name: "host" is reserved',
    ],
    ["an unsafe overlay name", { overlays: [{ ...overlay, name: "a;b" }], nodes: [] }, "overlays[0].name"],
    [
      "an overlay name twice",
      { overlays: [overlay, { ...overlay, subnet: "11.0.0.0/8" }], nodes: [] },
      "overlays[1].name",
    ],
    [
      "an overlay without addresses",
      { overlays: [{ name: "a" }], nodes: [] },
      "overlays[0].subnet: or subnet6 is required",
    ],
    [
      "a subnet without a prefix",
      { overlays: [{ name: "a", subnet: "9.0.0.0/8" }], nodes: [] },
      "overlays[0].prefix: is required",
    ],
    ["a prefix wider than the subnet", { overlays: [{ ...overlay, prefix: 7 }], nodes: [] }, "wider than the overlay"],
    [
      "a prefix too long",
      { overlays: [{ ...overlay, prefix: 31 }], nodes: [] },
      "overlays[0].subnet: has a node prefix /31",
    ],
    [
      "overlays that overlap",
      { overlays: [overlay, { ...overlay, name: "b" }], nodes: [] },
      "overlaps overlays[0].subnet",
    ],
    [
      "an overlay over the vtep subnet",
      { overlays: [{ ...overlay, subnet: "44.0.0.0/8" }], nodes: [] },
      "vtep_subnet 44.128.0.0/20 overlaps overlays[0].subnet",
    ],
    ["a vtep subnet too wide", { vtep_subnet: "44.0.0.0/7", nodes: [] }, "vtep_subnet: must be /8 to /30"],
    [
      "a vtep subnet that is no unicast space",
      { vtep_subnet: "224.0.0.0/20", nodes: [] },
      "vtep_subnet: 224.0.0.0/20 overlaps",
    ],
    [
      "a malformed hardware address",
      { vtep_mac_oui: "70:B3:D5:00:00:01", nodes: [] },
      "vtep_mac_oui: must be three bytes",
    ],
    ["a group hardware address", { vtep_mac_oui: "71:B3:D5:00:00:00", nodes: [] }, "vtep_mac_oui: must not be a group"],
    ["an MTU too small", { overlay_mtu: 551, nodes: [] }, "overlay_mtu: must be a whole number from 552"],
    ["a port too large", { port: 65_536, nodes: [] }, "port: must be a whole number from 1 to 65535"],
    ["a fractional VNI", { vni: 1.5, nodes: [] }, "vni: must be a whole number"],
    [
      "a flag that is text",
      { overlays: [{ ...overlay, isolated: "yes" }], nodes: [] },
      "overlays[0].isolated: must be true or false",
    ],
  ];
  for (const [what, value, reason] of refused) {
    it(`is refused for ${what}, naming key and reason`, () => {
      const refusal = refusalOf(() => parse(value));
      expect(refusal.code).to.equal("invalid");
      expect(refusal.message).to.include(reason);
    });
  }

  it("is refused for long names that would share a bridge", () => {
    // Two names with the same first five letters and the same 32-bit hash, found by search.
    const overlays = [
      { name: "production-032vu", subnet: "9.0.0.0/8", prefix: 24 },
      { name: "production-0auea", subnet: "11.0.0.0/8", prefix: 24 },
    ];
    expect(refusalOf(() => parse({ overlays, nodes: [] })).message).to.include("would share the bridge m-produ-");
  });

  it("reports all problems at once, each once", () => {
    const { message } = refusalOf(() =>
      parse({ vni: 0, port: 0, overlays: [{ name: "host" }], nodes: [{ name: "n1", subnets: 3 }, { address: "x" }] }),
    );
    for (const key of [
      "vni:",
      "port:",
      "overlays[0].name:",
      "overlays[0].subnet:",
      "nodes[0].address:",
      "nodes[1].name:",
    ]) {
      expect(message.split(`${key} `)).to.have.length(2);
    }
  });

  it("shortens a long list of problems and tells how many more there are", () => {
    const nodes = Array.from({ length: 50 }, () => 0);
    expect(refusalOf(() => parse({ nodes })).message).to.include("and 30 more problems");
  });

  it("is refused when it isn't JSON or no object", () => {
    for (const text of ["", "{", "[]", "null", "7", "nodes:\n- a"]) {
      expect(refusalOf(() => parseNodesFile(text, "/etc/nodes.json")).message).to.include("/etc/nodes.json");
    }
  });

  it("is taken or refused, but never breaks the reader, whatever JSON it holds", () => {
    const leaf = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("9.0.0.0/8", "10.0.0.1", "fd01::/64", "n1", 24, 80),
    );
    const keys = fc.constantFrom(
      "name",
      "address",
      "address6",
      "index",
      "subnet",
      "prefix",
      "subnet6",
      "prefix6",
      "subnets",
    );
    const entry = fc.dictionary(keys, leaf, { maxKeys: 5 });
    const list = fc.oneof(leaf, fc.array(fc.oneof(entry, leaf), { maxLength: 4 }));
    const file = fc.record(
      { overlays: list, nodes: list, vtep_subnet: leaf, vtep_mac_oui: leaf },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(file, (value) => {
        try {
          parse(value);
        } catch (error) {
          expect(error).to.be.instanceOf(NetError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
