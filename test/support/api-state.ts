import type { DnsState } from "../../bin/api/dns.ts";
import type { ApiState, MasterState, MemberState, SourceState } from "../../bin/api/state.ts";
import type { RunningVips } from "../../bin/l4lb/start.ts";
import type { Fact } from "../../facts/fact.ts";
import { FactView } from "../../facts/view.ts";
import type { LoopStatus } from "../../lib/loop.ts";
import { newOverlayMetrics } from "../../overlay/metric.ts";
import { drainFact, nodeFact } from "./facts.ts";

/** 2027-01-15T08:00:00Z. */
export const NOW = 1_800_000_000_000;

/** What a test may set of a node's state. The rest is that of a healthy master called `m1` which doesn't lead. */
export interface SampleState {
  settled: boolean;
  members: MemberState[];
  master: MasterState | undefined;
  loop: LoopStatus;
  sources: SourceState[];
  dns: DnsState | undefined;
  vips: RunningVips | undefined;
  conflicts: number;
  nameConflicts: number;
  /** What `forget` was asked for. */
  readonly forgotten: string[][];
  /** What `forget` does besides. */
  forget: (ids: readonly string[]) => Promise<void>;
  /** Adds to what the node knows. */
  readonly learn: (...facts: readonly Fact[]) => void;
  readonly state: ApiState;
}

export function sampleState(): SampleState {
  const view = new FactView();
  const learn = (...facts: readonly Fact[]) => view.apply(facts.map((fact) => ({ type: "put", fact })));
  const sample: SampleState = {
    settled: true,
    members: [member("m1")],
    master: undefined,
    loop: { runs: 7, failures: 0, failuresInARow: 0, lastSuccess: NOW - 1500, lastDurationMs: 12, running: false },
    sources: [],
    dns: undefined,
    vips: undefined,
    conflicts: 0,
    nameConflicts: 0,
    forgotten: [],
    forget: async () => {},
    learn,
    state: {
      self: { id: "m1", name: "m1.example", role: "master", address: "10.0.0.1", startedAt: NOW - 60_000 },
      now: () => NOW,
      isSettled: () => sample.settled,
      members: () => sample.members,
      facts: () => view.snapshot(),
      master: () => sample.master,
      statusOf(node, overlay) {
        const body = view.snapshot().statuses.get(`${node}/${overlay}`)?.body;
        if (body === undefined) return undefined;
        return { node, overlay, status: "STATUS_OK", error: undefined, containers: body.containers ?? 0 };
      },
      overlay: () => ({
        attempts: 3,
        metrics: { ...newOverlayMetrics(), passes: 7, peers: 2, mtu: 1450, conflicts: sample.conflicts },
        loop: sample.loop,
      }),
      gossip: () => ({
        counts: {
          sentDatagrams: 11,
          sentBytes: 1200,
          receivedDatagrams: 12,
          receivedBytes: 1300,
          sentFrames: 1,
          receivedFrames: 2,
          foreign: 3,
          forged: 4,
          replayed: 5,
          malformed: 6,
        },
        pendingRumors: 8,
        slowness: 1,
        refusedFacts: 9,
        overLimit: 10,
        nameConflicts: sample.nameConflicts,
      }),
      dns: () => sample.dns,
      vips: () => sample.vips,
      drain(target, id) {
        const fact = drainFact("m1", target, id, NOW);
        learn(fact);
        return fact;
      },
      undrain(target, id) {
        const key = `${target}/${id}`;
        view.apply([{ type: "drop", ref: { owner: "m1", kind: "drain", key, version: 2 } }]);
      },
      sources: () => sample.sources,
      async forget(ids) {
        sample.forgotten.push([...ids]);
        await sample.forget(ids);
      },
    },
  };
  learn(nodeFact("m1"));
  return sample;
}

export function member(id: string, status: MemberState["status"] = "alive", address = "10.0.0.1"): MemberState {
  return { id, address: `${address}:62501`, status, since: NOW - 90_000 };
}
