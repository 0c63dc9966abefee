import { expect } from "chai";
import type { Task, TaskPort } from "../../../facts/task.ts";
import { deriveTask } from "../../../facts/task-mesos.ts";
import { readTask, updateTask } from "../../../facts/task-mesos-read.ts";
import { containerStatus, type Json, taskOf } from "../../fake-mesos/json.ts";

const AGENT = { id: "A", addresses: ["10.0.0.9", "2001:db8::9"] };

/** The task that follows from a running Mesos task with these members and addresses. */
function derive(more: Json, addresses: readonly string[] = ["9.0.1.2"], network: string | undefined = "dcos"): Task {
  const status = { state: "TASK_RUNNING", timestamp: 5, container_status: containerStatus(addresses, network) };
  const read = readTask(
    taskOf({ id: "t", framework: "F", agent: "A", more: { state: "TASK_RUNNING", statuses: [status], ...more } }),
  );
  if (read === undefined) throw new Error("not read");
  return deriveTask(read, { frameworkName: "marathon", agent: AGENT, observer: "master" });
}

const labels = (pairs: Record<string, string>): Json => ({
  labels: Object.entries(pairs).map(([key, value]) => ({ key, value })),
});
const port = (number: number, more: Json = {}): Json => ({ number, protocol: "tcp", ...more });
const published = (...ports: Json[]): Json => ({ visibility: "CLUSTER", name: "t", ports: { ports } });
const docker = (network: string, ...port_mappings: Json[]): Json => ({
  type: "DOCKER",
  docker: { network, port_mappings },
});
const ucr = (name: string, ...port_mappings: Json[]): Json => ({
  type: "MESOS",
  network_infos: [port_mappings.length > 0 ? { name, port_mappings } : { name }],
});
const mapping = (host_port: number, container_port: number, protocol = "tcp"): Json => ({
  host_port,
  container_port,
  protocol,
});
const ranges = (...pairs: [number, number][]): Json[] => [
  { name: "cpus", scalar: { value: 1 } },
  { name: "ports", ranges: { range: pairs.map(([begin, end]) => ({ begin, end })) } },
];

function ports(task: Task): readonly TaskPort[] {
  return task.ports;
}

describe("deriveTask", () => {
  for (const [name, more, addresses, network, expected] of [
    ["UCR on an overlay", { container: ucr("dcos") }, ["9.0.1.2"], "dcos", ["container", "mesos"]],
    [
      "UCR behind its bridge",
      { container: ucr("mesos-bridge", mapping(31000, 80)) },
      ["172.31.254.2"],
      "mesos-bridge",
      ["bridge", "mesos"],
    ],
    ["UCR without network", { container: { type: "MESOS" } }, ["10.0.0.9"], undefined, ["host", "mesos"]],
    ["Docker on the host", { container: docker("HOST") }, ["10.0.0.9"], undefined, ["host", "docker"]],
    [
      "Docker behind its bridge",
      { container: docker("BRIDGE", mapping(31000, 80)) },
      ["172.17.0.2"],
      undefined,
      ["bridge", "docker"],
    ],
    ["Docker on a user network", { container: docker("USER") }, ["9.0.1.130"], undefined, ["container", "docker"]],
    ["a command without container", { container: undefined }, ["10.0.0.9"], undefined, ["host", "other"]],
    [
      "a member of a pod, whose network only its status names",
      { container: undefined },
      ["9.0.1.2"],
      "dcos",
      ["container", "other"],
    ],
    [
      "a host task with both families",
      { container: undefined },
      ["10.0.0.9", "2001:db8::9"],
      undefined,
      ["host", "other"],
    ],
  ] as const) {
    it(`tells network mode and runtime of ${name}`, () => {
      const task = derive(more, addresses, network);
      expect([task.mode, task.runtime]).to.deep.equal(expected);
    });
  }

  it("joins a mapping with the ports published by either of its numbers, so that no VIP misses the host port", () => {
    const task = derive({
      container: ucr("dcos", mapping(31100, 8080)),
      discovery: published(
        port(8080, { name: "http", labels: labels({ VIP_0: "/web:80" }) }),
        port(31100, { name: "admin", labels: labels({ "network-scope": "host", VIP_1: "/web:8000" }) }),
      ),
    });
    expect(ports(task)).to.deep.equal([
      { protocol: "tcp", container: 8080, host: 31100, name: "http", vips: ["/web:80"] },
      { protocol: "tcp", container: 8080, host: 31100, name: "admin", vips: ["/web:8000"] },
    ]);
  });

  it("puts a mapping that nothing publishes first, and keeps tcp and udp of one number apart", () => {
    const task = derive({
      container: docker("BRIDGE", mapping(31300, 53, "udp"), mapping(31301, 53, "TCP")),
      discovery: published(port(53, { name: "dns", protocol: "udp" })),
    });
    expect(ports(task)).to.deep.equal([
      { protocol: "tcp", container: 53, host: 31301, vips: [] },
      { protocol: "udp", container: 53, host: 31300, name: "dns", vips: [] },
    ]);
  });

  it("takes a pod's mappings from its status", () => {
    const info = { name: "dcos", ip_addresses: [{ ip_address: "9.0.1.6" }], port_mappings: [mapping(31100, 80)] };
    const statuses = [{ timestamp: 9, container_status: { network_infos: [info] } }];
    expect(ports(derive({ container: undefined, statuses }))).to.deep.equal([
      { protocol: "tcp", container: 80, host: 31100, vips: [] },
    ]);
  });

  it("makes one port of a number in host mode, the earlier name winning, with the VIPs of all", () => {
    const task = derive(
      {
        container: docker("HOST"),
        resources: ranges([4044, 4045]),
        labels: labels({
          VIP_PORT0: "tcp://10.1.2.3:80",
          vip_port1: "udp://10.1.2.3:53",
          VIP_PORT9: "tcp://10.1.2.4:80",
        }),
        discovery: published(
          port(4044, { name: "web", labels: labels({ VIP_0: "/web:80", vipX: "/other:80", Vip_0: "/not:1" }) }),
        ),
      },
      ["10.0.0.9"],
      undefined,
    );
    expect(ports(task)).to.deep.equal(
      [
        { protocol: "udp", container: 4045, vips: ["10.1.2.3:53"] },
        { protocol: "tcp", container: 4044, vips: ["/other:80", "/web:80", "10.1.2.3:80"], name: "web" },
      ].map(({ protocol, container, vips, ...rest }) => ({ protocol, ...rest, container, vips })),
    );
    expect(task.agentPorts).to.deep.equal([4044, 4045]);
  });

  it("leaves out only the published port that is wrong", () => {
    const task = derive({
      discovery: published(
        port(0),
        port(80, { labels: labels({ "network-scope": "cluster" }) }),
        port(81, { protocol: "quic" }),
        port(65_536),
        port(82, { name: "good" }),
      ),
    });
    expect(ports(task).map(({ container }) => container)).to.deep.equal([82]);
  });

  it("takes a port published without protocol as tcp and udp, and without name as default", () => {
    const task = derive({ discovery: published({ number: 80 }) });
    expect(ports(task)).to.deep.equal([
      { name: "default", protocol: "tcp", container: 80, vips: [] },
      { name: "default", protocol: "udp", container: 80, vips: [] },
    ]);
    expect(task.discovery?.ports).to.deep.equal([
      { protocol: "tcp", number: 80, scope: "container" },
      { protocol: "udp", number: 80, scope: "container" },
    ]);
  });

  it("takes addresses from the newest status, canonical and without prefix length", () => {
    const statuses = [
      { timestamp: 2, container_status: containerStatus(["9.0.1.9", "FD01:B::0:2/80"], "dcos6") },
      { timestamp: 1, container_status: containerStatus(["9.0.1.1"], "dcos") },
    ];
    expect(derive({ statuses }).addresses).to.deep.equal([
      { address: "9.0.1.9", network: "dcos6" },
      { address: "fd01:b::2", network: "dcos6" },
    ]);
  });

  for (const [name, more, expected] of [
    ["without check", {}, "unknown"],
    ["with a check that hasn't answered", { health_check: {} }, "unhealthy"],
    ["that is healthy", { health_check: {}, statuses: [{ timestamp: 1, healthy: true }] }, "healthy"],
    ["that is not", { statuses: [{ timestamp: 1, healthy: false }] }, "unhealthy"],
  ] as const) {
    it(`tells the health of a task ${name}`, () => {
      expect(derive(more).health).to.equal(expected);
    });
  }

  for (const [state, expected] of [
    ["TASK_STAGING", "preparing"],
    ["TASK_UNREACHABLE", "preparing"],
    ["TASK_RUNNING", "running"],
    ["TASK_KILLING", "killing"],
    ["TASK_GONE_BY_OPERATOR", "terminal"],
    ["TASK_LOST", "terminal"],
    ["TASK_OF_THE_FUTURE", "preparing"],
  ] as const) {
    it(`takes ${state} as ${expected}`, () => {
      expect(derive({ state }).state).to.equal(expected);
    });
  }
});

describe("updateTask", () => {
  const task = readTask(
    taskOf({
      id: "t",
      framework: "F",
      agent: "A",
      more: { statuses: [{ timestamp: 1, healthy: true, container_status: containerStatus(["9.0.1.2"], "dcos") }] },
    }),
  );

  it("keeps the addresses where an update has none, and takes the state beside the status", () => {
    if (task === undefined) throw new Error("not read");
    const updated = updateTask(task, { state: "TASK_RUNNING", status: { state: "TASK_STARTING", timestamp: 2 } });
    expect(updated).to.deep.include({ state: "running" });
    expect(updated.status.addresses).to.deep.equal([{ address: "9.0.1.2", network: "dcos" }]);
    expect(updated.status.healthy).to.equal(undefined);
  });
});

describe("readTask", () => {
  it("refuses what has no identity", () => {
    for (const value of [undefined, null, 1, "x", [], {}, { task_id: { value: "t" } }])
      expect(readTask(value)).to.equal(undefined);
    const odd = { task_id: { value: "\ud800" }, framework_id: { value: "F" }, agent_id: { value: "A" } };
    expect(readTask(odd)).to.equal(undefined);
  });

  it("takes mistyped members as absent", () => {
    const ids = { task_id: { value: "t" }, framework_id: { value: "F" }, agent_id: { value: "A" } };
    const odd = { name: 1, statuses: {}, resources: "x", labels: [], discovery: 3, container: "c", state: 4 };
    expect(readTask({ ...ids, ...odd })).to.deep.include({ name: "", agentPorts: [], state: "preparing" });
  });
});
