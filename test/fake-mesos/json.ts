/** JSON as Mesos v1 writes it: for building, so that tests may add or break any member. */
export type Json = Record<string, unknown>;

export const id = (value: string): Json => ({ value });

export interface AgentSpec {
  readonly id: string;
  readonly hostname: string;
  /** Address of its libprocess; the host name when absent. */
  readonly pidAddress?: string;
  readonly port?: number;
}

export function agentInfo({ id: value, hostname, port = 5051 }: AgentSpec): Json {
  return { hostname, port, resources: [], attributes: [], id: id(value) };
}

/** An agent as `get_agents` and AGENT_ADDED have it. */
export function agentOf(spec: AgentSpec): Json {
  const { hostname, pidAddress = hostname, port = 5051 } = spec;
  return {
    agent_info: agentInfo(spec),
    active: true,
    deactivated: false,
    version: "1.12.0",
    pid: `slave(1)@${pidAddress}:${port}`,
    registered_time: { nanoseconds: 1 },
    total_resources: [],
    capabilities: [],
  };
}

export interface FrameworkSpec {
  readonly id: string;
  readonly name: string;
}

export function frameworkOf({ id: value, name }: FrameworkSpec): Json {
  return {
    framework_info: {
      user: "root",
      name,
      id: id(value),
      failover_timeout: 0,
      checkpoint: true,
      role: "*",
      capabilities: [],
    },
    active: true,
    connected: true,
    recovered: false,
    registered_time: { nanoseconds: 1 },
    reregistered_time: { nanoseconds: 1 },
    unregistered_time: { nanoseconds: 0 },
  };
}

export interface TaskSpec {
  readonly id: string;
  readonly framework: string;
  readonly agent: string;
  readonly name?: string;
  /** Members to add or to put in place of others. */
  readonly more?: Json;
}

/** A task as TASK_ADDED has it at its launch. */
export function taskOf({ id: value, framework, agent, name = value, more = {} }: TaskSpec): Json {
  return {
    name,
    task_id: id(value),
    framework_id: id(framework),
    agent_id: id(agent),
    state: "TASK_STAGING",
    resources: [],
    labels: { labels: [] },
    discovery: { visibility: "CLUSTER", name, ports: { ports: [] } },
    container: { type: "MESOS", network_infos: [{ name: "dcos" }] },
    ...more,
  };
}

/** `container_status` with these addresses on one network. */
export function containerStatus(addresses: readonly string[], network?: string): Json {
  const ip_addresses = addresses.map((ip_address) => ({
    protocol: ip_address.includes(":") ? "IPv6" : "IPv4",
    ip_address,
  }));
  const info = network === undefined ? { ip_addresses } : { ip_addresses, name: network };
  return { container_id: id("c"), network_infos: [info], executor_pid: 1 };
}
