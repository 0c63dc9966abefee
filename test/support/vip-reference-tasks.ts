import fc from "fast-check";
import type { RawInfo, RawLabel, RawMapping, RawState, RawTask } from "./vip-reference.ts";
import type { RawEvent } from "./vip-reference-events.ts";

const AGENTS = new Map([
  ["S0", "10.0.0.1"],
  ["S1", "10.0.0.2"],
]);
const FRAMEWORKS = new Map([
  ["F0", "marathon"],
  ["F1", "My_Framework.prod"],
]);

/** How the container of a task is attached, and what runs it. `mapped`: host ports lead to its ports. */
const NETWORKS = [
  { type: "MESOS", network: "host", mapped: false },
  { type: "DOCKER", network: "host", mapped: false },
  { type: "MESOS", network: "mesos-bridge", mapped: true },
  { type: "DOCKER", network: "BRIDGE", mapped: true },
  { type: "MESOS", network: "dcos", mapped: false },
  { type: "MESOS", network: "dcos", mapped: true },
  { type: "DOCKER", network: "USER", mapped: false },
  { type: "DOCKER", network: "USER", mapped: true },
] as const;

const STATES = ["TASK_RUNNING", "TASK_RUNNING", "TASK_RUNNING", "TASK_KILLING", "TASK_STARTING", "TASK_FINISHED"];

/** Values of VIP labels: names, addresses, and what can't be used. Not those that are meant to mean something else than
 *  in the reference: names of which nothing is left in DNS, addresses in brackets, two names with one name in DNS. */
const LABELS = [
  ...["/app:80", "/group/api_v1:443", "web.front:8080", "-odd-_name-:1", `${"long".repeat(20)}.x:9`],
  ...["10.1.2.3:80", "10.1.2.3:81", "fd01:77::5:80"],
  ...["nothing", "app:0", "app:http", ":80"],
] as const;

interface Shape {
  readonly network: (typeof NETWORKS)[number];
  readonly agent: "S0" | "S1";
  readonly framework: string;
  readonly state: string;
  readonly healthy: boolean | undefined;
  readonly isChecked: boolean;
  readonly hasIpv6: boolean;
  readonly ports: readonly { readonly protocol: string; readonly vips: readonly string[]; readonly byHost: boolean }[];
  readonly portLabels: readonly string[];
}

const shape: fc.Arbitrary<Shape> = fc.record({
  network: fc.constantFrom(...NETWORKS),
  agent: fc.constantFrom("S0", "S1"),
  framework: fc.constantFrom(...FRAMEWORKS.keys()),
  state: fc.constantFrom(...STATES),
  healthy: fc.constantFrom(undefined, undefined, true, false),
  isChecked: fc.boolean(),
  hasIpv6: fc.boolean(),
  ports: fc.array(
    fc.record({
      protocol: fc.constantFrom("tcp", "udp", "TCP"),
      vips: fc.uniqueArray(fc.constantFrom(...LABELS), { maxLength: 3 }),
      byHost: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
  portLabels: fc.uniqueArray(fc.constantFrom("tcp://by-label:80", "udp://10.1.2.4:53", "by-label:80"), {
    maxLength: 2,
  }),
});

/** Some tasks, and the first event of a subscription that tells of them. Every task has host ports and addresses of its
 *  own, as Mesos sees to it. */
export const rawState: fc.Arbitrary<{ readonly state: RawState; readonly event: RawEvent }> = fc
  .array(shape, { maxLength: 6 })
  .map((shapes) => {
    const tasks = shapes.map(taskOf);
    const agents = [...AGENTS].map(([value, hostname]) => ({ agent_info: { id: { value }, hostname } }));
    const frameworks = [...FRAMEWORKS].map(([value, name]) => ({ framework_info: { id: { value }, name } }));
    const get_state = { get_tasks: { tasks }, get_agents: { agents }, get_frameworks: { frameworks } };
    return {
      state: { tasks, agents: AGENTS, frameworks: FRAMEWORKS },
      event: { type: "SUBSCRIBED", subscribed: { get_state, heartbeat_interval_seconds: 15 } },
    };
  });

function taskOf(shape: Shape, index: number): RawTask {
  const { network, agent, framework, state, healthy, isChecked } = shape;
  const { type, mapped } = network;
  const isHost = network.network === "host";
  const hostPort = (port: number): number => 31_000 + 100 * index + port;
  const mappings = shape.ports.map(({ protocol }, port): RawMapping => {
    return { protocol: protocol.toLowerCase(), host_port: hostPort(port), container_port: 8000 + port };
  });
  const info: RawInfo = { name: network.network, ...(mapped && type === "MESOS" && { port_mappings: mappings }) };
  const docker = {
    network: isHost ? "HOST" : network.network,
    ...(mapped && { port_mappings: mappings }),
  };
  return {
    task_id: { value: `task.${index}` },
    framework_id: { value: framework },
    agent_id: { value: agent },
    name: `task${index}`,
    state,
    statuses: [
      { timestamp: 1 },
      {
        timestamp: 2,
        ...(healthy !== undefined && { healthy }),
        container_status: { network_infos: [{ name: network.network, ip_addresses: addressesOf(shape, index) }] },
      },
    ],
    ...(isChecked && { health_check: {} }),
    // Port labels name ports of the node, which without mappings only a task in its network has.
    labels: { labels: isHost ? shape.portLabels.map((value, at) => ({ key: `VIP_PORT${50 + at}`, value })) : [] },
    resources: [{ name: "ports", ranges: { range: [{ begin: hostPort(0), end: hostPort(60) }] } }],
    discovery: { ports: { ports: shape.ports.map((port, at) => discoveryOf(shape, port, at, hostPort(at))) } },
    container: {
      type,
      ...(type === "DOCKER" && { docker }),
      ...(type === "MESOS" && !isHost && { network_infos: [info] }),
    },
  };
}

/** Over IPv6 mapped ports are reached otherwise than in the reference, which knows nodes by IPv4 only. */
function addressesOf({ network, agent, hasIpv6 }: Shape, index: number) {
  if (network.network === "host") return [{ ip_address: AGENTS.get(agent) ?? "" }];
  const v6 = hasIpv6 && !network.mapped ? [{ ip_address: `fd01:b::${index + 1}` }] : [];
  return [{ ip_address: `9.0.0.${index + 1}` }, ...v6];
}

function discoveryOf(
  { network }: Shape,
  { protocol, vips, byHost }: Shape["ports"][number],
  at: number,
  hostPort: number,
) {
  const isHostPort = network.network === "host" || (network.mapped && byHost);
  const labels: RawLabel[] = vips.map((value, index) => ({ key: index === 1 ? `vip${index}` : `VIP_${index}`, value }));
  if (isHostPort) labels.push({ key: "network-scope", value: "host" });
  return { number: isHostPort ? hostPort : 8000 + at, protocol, name: `port${at}`, labels: { labels } };
}
