import {
  type AssignmentFact,
  type DrainFact,
  type Fact,
  type NodeFact,
  type NodeVoice,
  type StatusFact,
  type TaskFact,
  type VipFact,
  vipKey,
} from "../../facts/fact.ts";
import { keyOfTask, type Task } from "../../facts/task.ts";

/** A running task of the framework `marathon` on agent `S0`, with what a test says of it. */
export function sampleTask(said: Partial<Task> = {}): Task {
  return {
    id: "app.1",
    framework: { id: "F-0000", name: "marathon" },
    name: "app",
    agent: { id: "S0", addresses: ["10.0.0.1"] },
    addresses: [{ address: "9.0.1.6", network: "dcos" }],
    mode: "container",
    runtime: "mesos",
    ports: [{ protocol: "tcp", container: 80, name: "http", vips: ["/app:80"] }],
    agentPorts: [],
    state: "running",
    health: "unknown",
    observer: "node",
    ...said,
  };
}

export function taskFact(owner: string, body: Task, version = 1, observedAt = 1000): TaskFact {
  return { kind: "task", owner, key: keyOfTask(body), version, observedAt, body };
}

/** The fact of node `owner`, which speaks for whom `speaks` says. */
export function nodeFact(owner: string, speaks: Partial<NodeVoice> = {}, version = 1): NodeFact {
  return {
    kind: "node",
    owner,
    key: owner,
    version,
    observedAt: 1000,
    body: {
      name: `${owner}.example`,
      role: "agent",
      addresses: ["10.0.0.1"],
      wish: { allocateSubnet: true, mesosBridge: true, dockerBridge: false },
      versions: { "dcos-net": "0.1.0" },
      speaks: { agents: [], ...speaks },
    },
  };
}

/** What leader `owner` gave to `node` in `epoch`: the subnet 9.0.<number>.0/24 of the overlay `dcos`. */
export function assignmentFact(owner: string, node: string, epoch: number, number = 1): AssignmentFact {
  return {
    kind: "assignment",
    owner,
    key: node,
    version: epoch,
    observedAt: 1000,
    body: {
      node,
      epoch,
      vtep: { vni: 1024, port: 64_000, ip: `44.128.0.${number}/20`, mac: "70:b3:d5:80:00:01" },
      overlays: [
        {
          name: "dcos",
          range: { subnet: "9.0.0.0/8", prefix: 24 },
          subnet: `9.0.${number}.0/24`,
          isolated: false,
          enabled: true,
          mesosBridge: true,
          dockerBridge: true,
        },
      ],
    },
  };
}

export function statusFact(owner: string, overlay: string, version = 1): StatusFact {
  return { kind: "status", owner, key: overlay, version, observedAt: 1000, body: { overlay, state: "ok" } };
}

/** The claim of node `owner` to an address for a named virtual IP. */
export function vipFact(owner: string, name: string, address: string, since = 1000, version = 1): VipFact {
  const body = { name, address, since };
  return { kind: "vip", owner, key: vipKey(body), version, observedAt: 1000, body };
}

export function drainFact(owner: string, target: "node" | "task", id: string, since = 1000, version = 1): DrainFact {
  return { kind: "drain", owner, key: `${target}/${id}`, version, observedAt: 1000, body: { target, id, since } };
}

/** Facts that note in `reads` the keys of those of them that somebody looks into. */
export function noting(reads: Set<string>): (fact: Fact) => Fact {
  return (fact) =>
    new Proxy(fact, {
      get(target, name, receiver) {
        reads.add(target.key);
        return Reflect.get(target, name, receiver);
      },
    });
}
