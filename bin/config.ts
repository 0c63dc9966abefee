import { messageOf, NetError } from "../lib/error.ts";
import type { Level } from "../lib/log.ts";
import { nearest } from "./nearest.ts";

/** Where settings are read from when `--config` names no other file. The file may be missing. */
export const DEFAULT_CONFIG_FILE = "/etc/dcos-net/config.json";
const ENVIRONMENT_PREFIX = "DCOS_NET_";
export const ROLES: readonly Role[] = ["master", "agent"];
const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];

/** Masters hand out subnets when they lead; agents run containers. */
export type Role = "master" | "agent";

/** One key of the configuration. */
export interface Setting<T extends string | number = string | number> {
  /** What a value may be, in words. */
  readonly type: string;
  /** `ms` and the like; undefined for text. */
  readonly unit: string | undefined;
  readonly fallback: T;
  readonly doc: string;
  /** The value that JSON or the text of an environment variable stands for; undefined when it stands for none. */
  readonly accept: (value: unknown) => T | undefined;
}

const text = (fallback: string, doc: string, most = 253): Setting<string> => ({
  type: `text of at most ${most} characters`,
  unit: undefined,
  fallback,
  doc,
  accept: (value) => (typeof value === "string" && value.length <= most ? value : undefined),
});

const path = (fallback: string, doc: string): Setting<string> => ({
  type: "absolute path",
  unit: undefined,
  fallback,
  doc,
  accept: (value) => (typeof value === "string" && /^\/[^\0]{0,4000}$/.test(value) ? value : undefined),
});

/** Empty text stands for "none". */
const optionalPath = (doc: string): Setting<string> => {
  const given = path("", doc);
  return {
    ...given,
    type: "absolute path, or empty",
    accept: (value) => (value === "" ? "" : given.accept(value)),
  };
};

const choice = <const T extends string>(words: readonly T[], fallback: T, doc: string): Setting<T> => ({
  type: `one of ${words.join(", ")}`,
  unit: undefined,
  fallback,
  doc,
  accept: (value) => words.find((word) => word === value),
});

const integer = (fallback: number, unit: string, least: number, most: number, doc: string): Setting<number> => ({
  type: `whole number from ${least} to ${most}`,
  unit,
  fallback,
  doc,
  accept(value) {
    const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
    return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most
      ? number
      : undefined;
  },
});

/** Every setting there is: the one place for its key, type, unit, default and meaning. */
export const SCHEMA = {
  node: text("", "name of this node (in the nodes file, if there is one); empty stands for the host name"),
  nodes_file: path("/etc/dcos-net/nodes.json", "a static cluster: its overlays and its nodes"),
  run_dir: path("/run/dcos-net", "status and lock of the agent; lost at reboot"),
  cni_dir: path(
    "/etc/cni/net.d",
    "where CNI configuration goes: <overlay>.conf for Mesos, <overlay>.conflist for others",
  ),
  data_dir: path("/var/lib/cni/networks", "address leases, in the layout of the reference host-local plugin"),
  lab_dir: path("/run/dcos-net/lab", "clusters made by `dcos-net lab`; lost at reboot"),
  log_level: choice(LEVELS, "info", "least important lines that the agent logs"),
  kernel_poll_ms: integer(500, "ms", 50, 5000, "how often the agent asks the kernel whether something has changed"),
  nodes_poll_ms: integer(1000, "ms", 100, 60_000, "how often the agent looks whether the nodes file has changed"),
  docker: choice(
    ["off", "on"],
    "off",
    "serve `docker network create --driver dcos`, and keep a Docker network for each overlay",
  ),
  docker_tasks: choice(["off", "on"], "off", "whether Docker containers with our labels are tasks of the cluster"),
  docker_socket: path("/var/run/docker.sock", "where the Docker engine listens"),
  docker_plugin_socket: path("/run/docker/plugins/dcos.sock", "where Docker finds us; its name is the driver's name"),
  docker_dir: path("/var/lib/dcos-net/docker", "what is known of Docker's networks and of containers on them"),
  resync_ms: integer(30_000, "ms", 1000, 3_600_000, "longest time between two comparisons of the whole kernel state"),
  cluster_secret_file: optionalPath(
    "file with the secret of the cluster, 16 bytes or more, readable by root only; when set, the node finds the others by gossip and nodes_file isn't read",
  ),
  old_cluster_secret_file: optionalPath(
    "file with a second secret that is accepted, while there is one: for changing the secret",
  ),
  cluster_identity: text("", "name of the cluster; nodes with another one, or with none, are refused; empty for none"),
  role: choice(ROLES, "agent", "agent: runs containers; master: hands out subnets when it leads, has none itself"),
  join: text(
    "",
    "nodes to join through, usually the masters: addresses, each with :port if it isn't gossip_port",
    4000,
  ),
  state_dir: path("/var/lib/dcos-net", "id of the node, last view of the cluster, allocations; must outlive reboots"),
  advertise_address: text("", "IPv4 address at which the others reach this node; empty: the one that leads to them"),
  gossip_address: text("0.0.0.0", "address to listen on for gossip, UDP and TCP"),
  gossip_port: integer(62_501, "port", 1, 65_535, "port of gossip, UDP and TCP"),
  overlay_network_file: optionalPath(
    "masters: JSON of dcos_overlay_network, the overlays to hand out; empty for those that DC/OS has by default",
  ),
  overlay_subnets: choice(
    ["by-role", "yes", "no"],
    "by-role",
    "whether this node gets a part of each overlay for containers; by-role: agents do, masters don't",
  ),
  overlay_store: text(
    "file",
    "masters: where allocations are kept: file, with one master, or zk://[user:password@]host:port,.../path",
    4000,
  ),
  overlay_mtu: integer(0, "bytes", 0, 65_535, "MTU of bridges and containers; 0: derived from the link"),
  vxlan_vni: integer(1024, "number", 1, 16_777_215, "VXLAN network identifier, the same on all nodes"),
  vxlan_port: integer(64_000, "port", 1, 65_535, "UDP port of the tunnel, the same on all nodes"),
  api_address: text("127.0.0.1", "address of the HTTP API; empty: no API"),
  api_port: integer(62_080, "port", 1, 65_535, "port of the HTTP API"),
  task_dir: optionalPath("directory of YAML and JSON files that define tasks; empty: none"),
  mesos_agent: text("", "URL of the Mesos agent on this node, such as http://10.0.0.5:5051; empty: none"),
  mesos_master: text(
    "",
    "where the leading Mesos master is found: zk://[user:password@]host:port,.../mesos or URLs of masters; empty: none",
    4000,
  ),
  mesos_scheme: choice(["http", "https"], "http", "how masters found through ZooKeeper are spoken to"),
  mesos_ca_file: optionalPath("certificates (PEM) that Mesos' own must come from; empty: the system's"),
  mesos_verify: choice(["yes", "no"], "yes", "whether certificates of Mesos are checked; no trusts whoever answers"),
  mesos_token_file: optionalPath("file with the Authorization header for Mesos: token=..., Bearer ...; empty: none"),
  l4lb: choice(
    ["auto", "nftables", "socket", "ipvs", "off"],
    "auto",
    "virtual IPs on this node: off, or what balances them in the kernel; auto: the best that the kernel has",
  ),
  l4lb_pool: text(
    "11.0.0.0-11.255.255.255",
    "IPv4 addresses for named virtual IPs, the same on all nodes; empty: names get none",
    100,
  ),
  l4lb_pool6: text(
    "fd01:c::-fd01:c::ffff:ffff:ffff:ffff",
    "IPv6 addresses for named virtual IPs, the same on all nodes; empty: names get none",
    100,
  ),
  l4lb_drain_ms: integer(
    300_000,
    "ms",
    0,
    86_400_000,
    "how long connections through virtual IPs last to a task that is being ended, unhealthy or drained",
  ),
  l4lb_cgroup: optionalPath("l4lb socket: control group whose processes have virtual IPs; empty: all processes"),
  l4lb_bpf_dir: path("/sys/fs/bpf/dcos-net", "l4lb socket: where programs and maps are kept; ours alone"),
  l4lb_cni_dir: path(
    "/var/run/dcos/cni/l4lb",
    "l4lb ipvs: where the CNI plugin dcos-l4lb names containers that carry virtual IPs themselves",
  ),
  dns: choice(["on", "off"], "on", "answer names of tasks and virtual IPs on this node"),
  dns_addresses: text(
    "198.51.100.1,198.51.100.2,198.51.100.3,fd01:d::c633:6401",
    "addresses of the DNS server that the agent gives this node, on dns_device",
    1000,
  ),
  dns_device: text("spartan", "link that carries dns_addresses; empty: somebody else sets them up", 15),
  dns_listen: text("", "further addresses of this node to answer on, such as 127.0.0.1; empty: none", 1000),
  dns_port: integer(53, "port", 1, 65_535, "port of the DNS server, UDP and TCP"),
  dns_workers: integer(
    0,
    "number",
    0,
    64,
    "threads that answer over UDP; 0: one for each processor but one, at most 8",
  ),
  dns_upstreams: text("", "who is asked about other names: IP[:PORT],...; empty: the servers of dns_resolv_conf", 1000),
  dns_forward_zones: text(
    "",
    "who is asked about the names of a zone: ZONE=IP[:PORT],... with spaces between zones",
    4000,
  ),
  dns_cache_bytes: integer(67_108_864, "bytes", 0, 999_999_999, "memory for the answers of others"),
  dns_resolv_conf: optionalPath(
    "file that is to point this host's programs at the DNS server, /etc/resolv.conf; empty: none",
  ),
  dns_aliases: text("", "names of your own below thisdcos.directory: NAME=TARGET,... as CNAME records", 4000),
  dns_public_addresses: text("", "addresses under which this node is reached from outside, for public.thisnode", 1000),
  dns_cluster_id: text("", "z-base-32 text of a DC/OS cluster's public key: names below <id>.dcos.directory", 63),
  dns_search: text("", "domains to put before those of that file's search list", 1000),
  mesos_dns: choice(
    ["off", "on"],
    "off",
    "masters: make the names of Mesos-DNS from the state of the masters of mesos_master, and serve them as it does",
  ),
  mesos_dns_file: optionalPath("configuration file of Mesos-DNS for it; empty: as DC/OS has it"),
  dns_notrack: choice(["on", "off"], "on", "keep queries to dns_addresses out of connection tracking"),
} as const satisfies Readonly<Record<string, Setting>>;

export type Key = keyof typeof SCHEMA;
/** A checked value for every key. */
export type Config = { readonly [K in Key]: (typeof SCHEMA)[K]["fallback"] };
/** Where a value came from: `default`, the file's path, or the environment variable's name. */
export type Origins = Readonly<Record<Key, string>>;

export interface ConfigSources {
  /** Content of the configuration file; undefined when there is none. */
  readonly text: string | undefined;
  /** Its path, for messages. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export const KEYS = Object.keys(SCHEMA) as Key[];

/** Environment variable that overrides a key: `DCOS_NET_RUN_DIR` for `run_dir`. */
export function variableOf(key: Key): string {
  return `${ENVIRONMENT_PREFIX}${key.toUpperCase()}`;
}

export function isKey(word: string): word is Key {
  return Object.hasOwn(SCHEMA, word);
}

/** Default, then file, then environment, each overriding the one before. Throws a NetError `invalid` that lists every
 *  problem: keys that don't exist, with the nearest that does, and values of the wrong type. */
export function readConfig({ text: content, file, env }: ConfigSources): { config: Config; origins: Origins } {
  const problems: string[] = [];
  const given = content === undefined ? {} : parseObject(content, file, problems);
  for (const key of Object.keys(given)) {
    if (!isKey(key)) problems.push(`${file}: there is no key ${JSON.stringify(key)}${hint(key)}`);
  }
  const values: Partial<Record<Key, string | number>> = {};
  const origins: Partial<Record<Key, string>> = {};
  for (const key of KEYS) {
    const variable = variableOf(key);
    const set = env[variable];
    const [value, origin] = set !== undefined ? [set, variable] : [given[key], file];
    const accepted = value === undefined ? SCHEMA[key].fallback : SCHEMA[key].accept(value);
    if (accepted === undefined) problems.push(wrongValue(key, value, origin));
    values[key] = accepted ?? SCHEMA[key].fallback;
    origins[key] = value === undefined ? "default" : origin;
  }
  if (problems.length > 0) {
    throw new NetError("invalid", { tried: "read the configuration", said: problems.join("; "), remedy: REMEDY });
  }
  return { config: values as Config, origins: origins as Origins };
}

const REMEDY = "see `dcos-net config show` for the keys and `dcos-net config explain KEY` for one of them";

/** The nearest key in words that follow a refusal; empty when none is near. */
export function hint(key: string): string {
  const meant = nearest(key, KEYS);
  return meant === undefined ? "" : `, did you mean "${meant}"?`;
}

function parseObject(content: string, file: string, problems: string[]): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
    problems.push(`${file}: must be a JSON object`);
  } catch (error) {
    problems.push(`${file}: isn't JSON: ${messageOf(error)}`);
  }
  return {};
}

function wrongValue(key: Key, value: unknown, origin: string): string {
  const shown = JSON.stringify(value).slice(0, 80);
  const where = origin === variableOf(key) ? origin : `${origin}: ${key}`;
  return `${where} must be ${SCHEMA[key].type}, not ${shown}`;
}
