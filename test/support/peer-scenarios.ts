import { CONTAINERS, DATA, MAC, type Scenario, type Step } from "./peer-scenario.ts";

const [FIRST, SECOND] = CONTAINERS;
const ALL_VERSIONS = [undefined, "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] as const;
/** One version of each shape of result. */
const SHAPES = ["0.2.0", "0.4.0", "1.0.0"] as const;

const V4 = { subnet: "10.80.0.0/24" };
const V6 = { subnet: "fd80::/64" };

type Config = Readonly<Record<string, unknown>>;

function ipam(ranges: readonly object[][], extra: Config = {}): Config {
  return { type: "host-local", dataDir: DATA, ranges, ...extra };
}

/** A `bridge` configuration of some version; undefined leaves the version out. */
function bridge(cniVersion: string | undefined, extra: Config): Config {
  const version = cniVersion === undefined ? {} : { cniVersion };
  return { ...version, name: "net", type: "bridge", bridge: "br0", ipam: ipam([[V4]]), ...extra };
}

/** The life of two attachments: added, checked, added twice, deleted twice, deleted without a namespace, never
 *  added. */
function life(plugin: string, config: Config): Step[] {
  return [
    { plugin, verb: "ADD", config },
    { plugin, verb: "CHECK", config, previous: true },
    { plugin, verb: "ADD", config, container: SECOND },
    { plugin, verb: "ADD", config, container: SECOND },
    { plugin, verb: "DEL", config, previous: true },
    { plugin, verb: "DEL", config },
    { plugin, verb: "DEL", config, container: SECOND, env: { CNI_NETNS: undefined } },
    { plugin, verb: "DEL", config, container: SECOND },
    { plugin, verb: "DEL", config, container: "never" },
  ];
}

function named(version: string | undefined): string {
  return version ?? "no version";
}

/** Configurations of `bridge` that work; each lives its {@link life} in one version of every shape. */
const BRIDGE_VARIANTS: Readonly<Record<string, Config>> = {
  gateway: { isGateway: true },
  "default gateway": { isDefaultGateway: true },
  masquerade: { isGateway: true, ipMasq: true },
  hairpin: { isGateway: true, hairpinMode: true },
  promiscuous: { promiscMode: true },
  mtu: { mtu: 1400 },
  "dual stack": {
    isDefaultGateway: true,
    ipam: ipam([[V4], [V6]]),
  },
  "IPv6 only": { isGateway: true, ipam: ipam([[V6]], { routes: [{ dst: "::/0" }] }) },
  routes: {
    isGateway: true,
    ipam: ipam([[V4]], { routes: [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24", gw: "10.80.0.9" }] }),
  },
  dns: { dns: { nameservers: ["10.80.0.1"], domain: "example.org", search: ["example.org"], options: ["ndots:2"] } },
  "requested address": { args: { cni: { ips: ["10.80.0.77"] } } },
  "requested address by capability": { runtimeConfig: { ips: ["10.80.0.78/24"] } },
  "requested hardware address": { runtimeConfig: { mac: MAC } },
  "ranges by capability": { ipam: ipam([]), runtimeConfig: { ipRanges: [[{ subnet: "10.81.0.0/24" }]] } },
  "own gateway address": { isGateway: true, ipam: ipam([[{ ...V4, gateway: "10.80.0.254" }]]) },
  "part of a subnet": { ipam: ipam([[{ ...V4, rangeStart: "10.80.0.20", rangeEnd: "10.80.0.21" }]]) },
  "inline range": { ipam: { type: "host-local", dataDir: DATA, ...V4 } },
  "keys in capitals": { ISGATEWAY: true, HairpinMode: true },
};

function bridgeLives(): Scenario[] {
  const versions = ALL_VERSIONS.map((version) => ({
    name: `bridge, plain, ${named(version)}`,
    steps: life("bridge", bridge(version, {})),
  }));
  const variants = Object.entries(BRIDGE_VARIANTS).flatMap(([title, extra]) =>
    SHAPES.map((version) => ({
      name: `bridge, ${title}, ${version}`,
      steps: life("bridge", bridge(version, extra)),
    })),
  );
  return [...versions, ...variants];
}

/** Calls with `CNI_ARGS`, and configurations that meet something on the node. */
function bridgeSituations(): Scenario[] {
  const config = bridge("1.0.0", { isGateway: true });
  const add = (extra: Partial<Step> = {}): Step => ({ plugin: "bridge", verb: "ADD", config, ...extra });
  const check: Step = { plugin: "bridge", verb: "CHECK", config, previous: true };
  const del: Step = { plugin: "bridge", verb: "DEL", config };
  const withArgs = (CNI_ARGS: string): Scenario => ({
    name: `bridge, CNI_ARGS ${CNI_ARGS}`,
    steps: [add({ env: { CNI_ARGS } }), del],
  });
  const small = bridge("1.0.0", { ipam: ipam([[{ ...V4, rangeStart: "10.80.0.5", rangeEnd: "10.80.0.5" }]]) });
  const other = { isGateway: true, ipam: ipam([[{ ...V4, gateway: "10.80.0.254" }]]) };
  const moved = bridge("1.0.0", other);
  const forced = bridge("1.0.0", { ...other, forceAddress: true });
  return [
    { name: "bridge, CNI_ARGS IP=10.80.0.99", steps: [add({ env: { CNI_ARGS: "IP=10.80.0.99" } })] },
    withArgs("IP=10.80.0.99;IgnoreUnknown=1"),
    withArgs(`MAC=${MAC};IgnoreUnknown=1`),
    withArgs("IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b"),
    withArgs("K8S_POD_NAME=b"),
    withArgs("IP"),
    withArgs("IP=10.80.0.1"),
    withArgs("IP=10.99.0.1"),
    withArgs("IP=nonsense"),
    { name: "bridge, no address left", steps: [add({ config: small }), add({ config: small, container: SECOND })] },
    { name: "bridge, DEL with an empty namespace", steps: [add(), { ...del, env: { CNI_NETNS: "" } }] },
    {
      name: "bridge, name taken by another kind of link",
      before: "ip link add br0 type veth peer name br0peer",
      steps: [add(), del],
    },
    {
      name: "bridge, exists with another address",
      before: "ip link add br0 type bridge; ip address add 10.80.0.250/24 dev br0; ip link set br0 up",
      steps: [add(), del],
    },
    {
      name: "bridge, another gateway address, by force",
      steps: [
        add(),
        add({ config: moved, container: SECOND }),
        { ...del, config: moved, container: SECOND },
        add({ config: forced, container: SECOND }),
        check,
      ],
    },
    {
      name: "bridge, exists with the right address",
      before: "ip link add br0 type bridge; ip address add 10.80.0.1/24 dev br0; ip link set br0 up",
      steps: [add(), check, del],
    },
    {
      name: "bridge, interface name taken in the container",
      before: `ip -n ${FIRST} link add eth0 type veth peer name other`,
      steps: [add()],
    },
    { name: "bridge, two interfaces", steps: [add(), add({ ifname: "eth1" }), del, { ...del, ifname: "eth1" }] },
    {
      name: "bridge, CHECK after the address was taken away",
      steps: [add(), { plugin: "host-local", verb: "DEL", config }, check],
    },
    {
      name: "layer 2 only",
      steps: [add({ config: bridge("1.0.0", { ipam: {} }) }), { ...del, config: bridge("1.0.0", { ipam: {} }) }],
    },
    ...["1.1.0", "9.9.9", "1", ""].map((version) => ({
      name: `bridge, version "${version}"`,
      steps: [add({ config: bridge(version, {}) }), { ...del, config: bridge(version, {}) }],
    })),
    {
      name: "bridge, CHECK of an old version",
      steps: [add({ config: bridge("0.3.1", {}) }), { ...check, config: bridge("0.3.1", {}) }],
    },
    { name: "bridge, CHECK without prevResult", steps: [add(), { ...check, previous: false }] },
  ];
}

/** Configurations that must be refused and change nothing. */
const BAD_CONFIGS: Readonly<Record<string, object | string>> = {
  empty: "",
  "not JSON": "{",
  "a list": "[]",
  "a number": "7",
  "wrong type of a flag": bridge("1.0.0", { isGateway: "yes" }),
  "wrong type of a number": bridge("1.0.0", { mtu: "large" }),
  "wrong type of ipam": bridge("1.0.0", { ipam: 5 }),
  "wrong type of name": bridge("1.0.0", { name: 5 }),
  "no name": { cniVersion: "1.0.0", type: "bridge", ipam: ipam([[V4]]) },
  "bad name": bridge("1.0.0", { name: "a/b" }),
  "hairpin and promiscuous": bridge("1.0.0", { hairpinMode: true, promiscMode: true }),
  "vlan out of range": bridge("1.0.0", { vlan: 4095 }),
  "negative vlan": bridge("1.0.0", { vlan: -1 }),
  "unknown address plugin": bridge("1.0.0", { ipam: { type: "no-such-plugin" } }),
  "address plugin outside the path": bridge("1.0.0", { ipam: { type: "../../bin/true" } }),
  "no ranges": bridge("1.0.0", { ipam: ipam([]) }),
  "bad subnet": bridge("1.0.0", { ipam: ipam([[{ subnet: "10.80.0.0" }]]) }),
  "subnet with host bits": bridge("1.0.0", { ipam: ipam([[{ subnet: "10.80.0.7/24" }]]) }),
  "range start outside": bridge("1.0.0", { ipam: ipam([[{ ...V4, rangeStart: "10.81.0.1" }]]) }),
  "range end outside": bridge("1.0.0", { ipam: ipam([[{ ...V4, rangeEnd: "10.81.0.1" }]]) }),
  "range end before its start": bridge("1.0.0", {
    ipam: ipam([[{ ...V4, rangeStart: "10.80.0.9", rangeEnd: "10.80.0.2" }]]),
  }),
  "overlapping ranges": bridge("1.0.0", { ipam: ipam([[V4], [{ subnet: "10.80.0.128/25" }]]) }),
  "families mixed in a range": bridge("1.0.0", { ipam: ipam([[V4, V6]]) }),
  "two IPv4 ranges below 0.3.0": bridge("0.2.0", { ipam: ipam([[V4], [{ subnet: "10.81.0.0/24" }]]) }),
  "bad route": bridge("1.0.0", { ipam: ipam([[V4]], { routes: [{ dst: "nowhere" }] }) }),
  "bad hardware address": bridge("1.0.0", { runtimeConfig: { mac: "zz:zz" } }),
  "bad requested address": bridge("1.0.0", { runtimeConfig: { ips: ["300.1.1.1"] } }),
  "requested address outside": bridge("1.0.0", { runtimeConfig: { ips: ["10.99.0.5"] } }),
};

/** Environments that must be refused and change nothing. */
const BAD_ENVIRONMENTS: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
  "no container id": { CNI_CONTAINERID: undefined },
  "empty container id": { CNI_CONTAINERID: "" },
  "bad container id": { CNI_CONTAINERID: "a/b" },
  "container id starting with a dot": { CNI_CONTAINERID: ".a" },
  "no namespace": { CNI_NETNS: undefined },
  "missing namespace": { CNI_NETNS: "/run/netns/nowhere" },
  "a file that is no namespace": { CNI_NETNS: "/etc/hostname" },
  "no interface name": { CNI_IFNAME: undefined },
  "long interface name": { CNI_IFNAME: "eth0123456789012" },
  "interface name with a slash": { CNI_IFNAME: "eth/0" },
  "interface name with a space": { CNI_IFNAME: "eth 0" },
  "interface name of dots": { CNI_IFNAME: ".." },
  "no path": { CNI_PATH: undefined },
  "unknown verb": { CNI_COMMAND: "MOVE" },
  "verb in small letters": { CNI_COMMAND: "add" },
};

function refusals(): Scenario[] {
  const plugin = "bridge";
  const configs = Object.entries(BAD_CONFIGS).map(([title, config]) => ({
    name: `bridge refuses ${title}`,
    steps: [{ plugin, verb: "ADD", config }],
  }));
  const config = bridge("1.0.0", {});
  const environments = Object.entries(BAD_ENVIRONMENTS).map(([title, env]) => ({
    name: `bridge refuses ${title}`,
    steps: ["ADD", "CHECK", "DEL"].map((verb) => ({ plugin, verb, config, env: { ...env } })),
  }));
  return [...configs, ...environments];
}

function hostLocal(): Scenario[] {
  const plugin = "host-local";
  const config = (cniVersion: string | undefined, address: Config): Config => ({
    ...(cniVersion === undefined ? {} : { cniVersion }),
    name: "net",
    type: "any",
    ipam: address,
  });
  const three = ipam([[{ ...V4, rangeStart: "10.80.0.1", rangeEnd: "10.80.0.4" }]]);
  const add = (container: string): Step => ({ plugin, verb: "ADD", config: config("1.0.0", three), container });
  const del = (container: string): Step => ({ plugin, verb: "DEL", config: config("1.0.0", three), container });
  return [
    ...ALL_VERSIONS.map((version) => ({
      name: `host-local, ${named(version)}`,
      steps: life(plugin, config(version, ipam([[V4], [V6]], { routes: [{ dst: "0.0.0.0/0" }] }))),
    })),
    {
      name: "host-local goes round and ends",
      steps: [add("a"), del("a"), add("b"), add("c"), add("d"), add("e"), del("c"), add("f"), del("f"), add("g")],
    },
    {
      name: "host-local reads files without an interface name",
      before: `mkdir -p ${DATA}/net; cd ${DATA}/net; printf old >10.80.0.2; printf 10.80.0.2 >last_reserved_ip.0`,
      steps: [add("a"), del("old"), add("b"), add("c")],
    },
    {
      name: "host-local reads resolv.conf",
      before: "printf 'nameserver 10.0.0.9\\nsearch a.example b.example\\noptions ndots:3\\n' >/run/test/resolv.conf",
      steps: [{ plugin, verb: "ADD", config: config("1.0.0", ipam([[V4]], { resolvConf: "/run/test/resolv.conf" })) }],
    },
    {
      name: "host-local refuses a missing resolv.conf",
      steps: [{ plugin, verb: "ADD", config: config("1.0.0", ipam([[V4]], { resolvConf: "/run/test/none" })) }],
    },
    {
      name: "host-local refuses a configuration without ipam",
      steps: ["ADD", "DEL"].map((verb) => ({
        plugin,
        verb,
        config: { cniVersion: "1.0.0", name: "net", type: "any" },
      })),
    },
  ];
}

function loopback(): Scenario[] {
  return ALL_VERSIONS.map((version) => {
    const config = { ...(version === undefined ? {} : { cniVersion: version }), name: "lo", type: "loopback" };
    const step = (verb: string, previous = false): Step => ({
      plugin: "loopback",
      verb,
      config,
      ifname: "lo",
      previous,
    });
    return {
      name: `loopback, ${named(version)}`,
      steps: [step("ADD"), step("CHECK", true), step("ADD"), step("DEL"), step("DEL")],
    };
  });
}

function portmap(): Scenario[] {
  const previous = (cniVersion: string): Step => ({
    plugin: "bridge",
    verb: "ADD",
    config: bridge(cniVersion, { isGateway: true }),
  });
  const config = (cniVersion: string, mappings: unknown, extra: Config = {}): Config => ({
    cniVersion,
    name: "net",
    type: "portmap",
    ...extra,
    ...(mappings === undefined ? {} : { runtimeConfig: { portMappings: mappings } }),
  });
  const http = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  const step = (verb: string, given: Config): Step => ({ plugin: "portmap", verb, config: given, previous: true });
  const lives = SHAPES.map((version) => ({
    name: `portmap, ${version}`,
    steps: [previous(version), ...["ADD", "CHECK", "DEL", "DEL"].map((verb) => step(verb, config(version, http)))],
  }));
  const variants: Record<string, Config> = {
    "no mappings": config("1.0.0", undefined),
    "an empty list": config("1.0.0", []),
    udp: config("1.0.0", [{ hostPort: 53, containerPort: 53, protocol: "udp" }]),
    "a host address": config("1.0.0", [{ ...http[0], hostIP: "198.51.100.1" }]),
    "a host address of the other family": config("1.0.0", [{ ...http[0], hostIP: "2001:db8:51::1" }]),
    "no source address change": config("1.0.0", http, { snat: false }),
    "container port zero": config("1.0.0", [{ ...http[0], containerPort: 0 }]),
    "host port as text": config("1.0.0", [{ ...http[0], hostPort: "8080" }]),
    "mark bit out of range": config("1.0.0", http, { markMasqBit: 32 }),
  };
  const single = Object.entries(variants).map(([title, given]) => ({
    name: `portmap, ${title}`,
    steps: [previous("1.0.0"), step("ADD", given), step("DEL", given)],
  }));
  const first: Step = { plugin: "portmap", verb: "ADD", config: config("1.0.0", http) };
  return [...lives, ...single, { name: "portmap refuses to be first", steps: [first] }];
}

/** VERSION takes no input; it answers what each side supports. */
function versions(): Scenario[] {
  return ["bridge", "host-local", "portmap", "loopback"].map((plugin) => ({
    name: `${plugin} tells its versions`,
    steps: [{ plugin, verb: "VERSION", config: { cniVersion: "1.0.0" } }],
  }));
}

/** Every scenario of the comparison with the reference plugins. */
export function scenarios(): Scenario[] {
  return [
    ...bridgeLives(),
    ...bridgeSituations(),
    ...refusals(),
    ...hostLocal(),
    ...loopback(),
    ...portmap(),
    ...versions(),
  ];
}
