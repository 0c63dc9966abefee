import { expect } from "chai";
import type { Fact } from "../../../facts/fact.ts";
import type { Task, TaskPort } from "../../../facts/task.ts";
import type { FactChange } from "../../../facts/view.ts";
import { FactView } from "../../../facts/view.ts";
import { type Service, serviceName } from "../../../l4lb/service.ts";
import { VipTable } from "../../../l4lb/table.ts";
import { type KernelView, type TraceHop, traceVip, type VipQuestion } from "../../../l4lb/trace.ts";
import { parseIp } from "../../../lib/address.ts";
import { drainFact, nodeFact, sampleTask, taskFact, vipFact } from "../../support/facts.ts";

const NOW = 61_000;

/** What stands between a question and its answer. */
interface Scene {
  readonly facts?: readonly Fact[];
  readonly changes?: readonly FactChange[];
  readonly pool?: readonly [string, string];
  readonly kernel?: Partial<KernelView>;
  /** Changes what the kernel has of what it should have. */
  readonly damage?: (services: Map<string, Service>) => void;
  readonly inDns?: boolean | "off";
}

const port = (said: Partial<TaskPort> = {}): TaskPort => ({
  protocol: "tcp",
  container: 80,
  vips: ["/app:80"],
  ...said,
});

function task(number: number, said: Partial<Task> = {}, owner = "n2"): Fact {
  const agent = { id: owner, addresses: ["10.0.0.2"] };
  const addresses = [{ address: `9.0.0.${number}` }];
  return taskFact(owner, sampleTask({ id: `app.${number}`, addresses, agent, ports: [port()], ...said }));
}

function trace(scene: Scene, question: Partial<VipQuestion> = {}): readonly TraceHop[] {
  const view = new FactView();
  const facts = [nodeFact("n2", { agents: ["n2"] }), ...(scene.facts ?? [task(1)])];
  view.apply([...facts.map((fact) => ({ type: "put", fact }) as const), ...(scene.changes ?? [])]);
  const [min = "11.0.0.0", max = "11.0.0.254"] = scene.pool ?? [];
  const pools = { 4: { min: parseIp(min), max: parseIp(max) }, 6: undefined };
  const table = new VipTable({ node: "n1", addresses: ["10.0.0.1"], pools, drainMs: 300_000, now: () => NOW });
  table.begin(view.snapshot());
  const services = new Map([...table.rows].map(({ service }) => [serviceName(service), service]));
  scene.damage?.(services);
  const { tasks, lostTasks, nodes } = view.snapshot();
  return traceVip(
    { name: "app.marathon", port: undefined, protocol: undefined, ...question },
    {
      table,
      tasks: [...tasks.values(), ...lostTasks.values()],
      nodeOf: (id) => nodes.get(id),
      kernel: { problem: undefined, missing: [], services, ...scene.kernel },
      inDns: scene.inDns === "off" ? undefined : () => scene.inDns !== false,
      suggest: (word, among) => [...among].find((each) => each.startsWith(word.slice(0, 2))),
      now: NOW,
    },
  ).hops;
}

function broken(scene: Scene, question: Partial<VipQuestion> = {}): string {
  const hop = trace(scene, question).find(({ ok }) => !ok);
  return hop === undefined ? "nothing" : `${hop.hop}: ${hop.text}`;
}

describe("the trace of a virtual IP", () => {
  it("walks from label to kernel when all is well", () => {
    expect(trace({ facts: [task(1), vipFact("n2", "app.marathon", "11.0.0.7")] })).to.deep.equal([
      { hop: "label", ok: true, text: "tcp app.marathon:80: VIP label of 1 tasks: app.1" },
      { hop: "task", ok: true, text: "task app.1 is running, so says node n2.example 60 s ago" },
      { hop: "address", ok: true, text: "tcp 11.0.0.7:80 for app.marathon, claimed 60 s ago" },
      { hop: "name", ok: true, text: "app.marathon.l4lb.thisdcos.directory is 11.0.0.7 in DNS here" },
      { hop: "kernel", ok: true, text: "service tcp 11.0.0.7:80 with 1 backends is in the kernel" },
    ]);
    for (const name of ["app", "APP.marathon", "app.marathon.l4lb.thisdcos.directory.", "11.0.0.189"])
      expect(broken({}, { name })).to.equal("nothing");
  });

  const unreachable: FactChange = { type: "owner", owner: "n2", liveness: "unreachable" };
  const FAULTS: readonly [fault: string, Scene, named: string, Partial<VipQuestion>?][] = [
    [
      "a name that nobody has",
      {},
      "label: no task that this node knows of has a VIP label for apq.marathon; did you mean app.marathon?",
      { name: "apq.marathon" },
    ],
    [
      "another port",
      {},
      "label: app.marathon has tcp port 80, but not port 81: no task has a VIP label with that",
      { port: 81 },
    ],
    [
      "another protocol",
      {},
      "label: app.marathon has tcp port 80, but not udp: no task has a VIP label with that",
      { protocol: "udp" },
    ],
    [
      "a label without port",
      { facts: [task(1, { ports: [port({ vips: ["/app"] })] })] },
      'label: task app.1 of marathon: VIP label "/app" is not <name or address>:<port>, such as /app:80',
    ],
    [
      "a label on a port of sctp",
      { facts: [task(1, { ports: [port({ protocol: "sctp" })] })] },
      "label: task app.1 of marathon has that VIP label on a port of sctp; virtual IPs know tcp and udp only",
    ],
    [
      "a task that has not started",
      { facts: [task(1, { state: "preparing" })] },
      "task: its task app.1 of marathon is preparing, so says node n2.example 60 s ago",
    ],
    [
      "a task that has ended",
      { facts: [task(1, { state: "terminal" })] },
      "task: its task app.1 of marathon is terminal, so says node n2.example 60 s ago",
    ],
    [
      "a task that is being ended",
      { facts: [task(1, { state: "killing" })] },
      "task: tcp 11.0.0.189:80: none of its tasks gets new connections: app.1: its framework ends it",
    ],
    [
      "a task whose health check fails",
      { facts: [task(1, { health: "unhealthy" })] },
      "task: tcp 11.0.0.189:80: none of its tasks gets new connections: app.1: its health check fails",
    ],
    [
      "a drained node",
      { facts: [task(1), drainFact("n3", "node", "n2")] },
      "task: tcp 11.0.0.189:80: none of its tasks gets new connections: app.1: an operator drains it or its node",
    ],
    [
      "a weight of 0",
      { facts: [task(1, { ports: [port({ balance: { weight: "0" } })] })] },
      "task: tcp 11.0.0.189:80: none of its tasks gets new connections: app.1: its label L4LB_WEIGHT is 0",
    ],
    [
      "a node that can't be reached",
      { changes: [unreachable] },
      "task: tcp 11.0.0.189:80: no node of its tasks can be reached (node n2.example); its last backends are kept",
    ],
    [
      "a task without address",
      { facts: [task(1, { addresses: [] })] },
      "task: tcp app.marathon:80 gets no backend: app.1: tcp app.marathon:80 gets no backend from this task: it has no address of a family in which names get addresses",
    ],
    [
      "an IPv6 address with tasks of IPv4",
      { facts: [task(1, { ports: [port({ vips: ["[fd01:c::9]:80"] })] })] },
      "task: tcp ip [fd01:c::9]:80 gets no backend: app.1: tcp ip [fd01:c::9]:80 gets no backend from this task: it has no address of IPv6, which the virtual IP is",
      { name: "fd01:c::9" },
    ],
    [
      "a pool that is used up",
      { facts: [task(1), task(2, { ports: [port({ vips: ["/aaa:80"] })] })], pool: ["11.0.0.7", "11.0.0.7"] },
      "address: tcp app.marathon:80 has no address: the pool of its family is full",
    ],
    [
      "two virtual IPs with one address and port",
      {
        facts: [
          task(1),
          task(2, { ports: [port({ vips: ["11.0.0.7:80", "/web:80"] })] }),
          vipFact("n2", "app.marathon", "11.0.0.7"),
        ],
      },
      "address: tcp ip 11.0.0.7:80 is not served: tcp app.marathon:80 has the same address, protocol and port, tcp 11.0.0.7:80; give it another",
      { name: "11.0.0.7" },
    ],
    [
      "a name that DNS hasn't",
      { inDns: false },
      "name: app.marathon.l4lb.thisdcos.directory is not 11.0.0.189 in DNS here: names come after the kernel has their services",
    ],
    [
      "a service that somebody deleted",
      { damage: (services) => services.clear() },
      "kernel: service tcp 11.0.0.189:80 is not in the kernel; it is put back within seconds",
    ],
    [
      "a service that somebody changed",
      { damage: empty },
      "kernel: service tcp 11.0.0.189:80 is not in the kernel as it should be; it is put back within seconds",
    ],
    [
      "a kernel that refuses",
      { damage: (services) => services.clear(), kernel: { problem: "cannot add rule: EPERM" } },
      "kernel: service tcp 11.0.0.189:80 is not in the kernel: cannot add rule: EPERM",
    ],
    [
      "a table or device that somebody deleted",
      { kernel: { missing: ["table inet dcos_l4lb"] } },
      "kernel: was missing, and is put back now: table inet dcos_l4lb",
    ],
  ];
  for (const [fault, scene, named, question] of FAULTS) {
    it(`names ${fault}`, () => {
      expect(broken(scene, question)).to.equal(named);
    });
  }

  it("says so where no DNS server of ours runs", () => {
    expect(trace({ inDns: "off" }).find(({ hop }) => hop === "name")?.text).to.match(/no DNS server of ours runs/);
  });
});

function empty(services: Map<string, Service>): void {
  for (const [name, service] of services) services.set(name, { ...service, backends: [] });
}
