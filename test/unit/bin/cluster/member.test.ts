import { expect } from "chai";
import { ClusterMember } from "../../../../bin/cluster/member.ts";
import { deriveClusterKey } from "../../../../gossip/key.ts";
import type { NodeState } from "../../../../gossip/state.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { jsonLog } from "../../../../lib/log.ts";
import { nodeFact, sampleTask, taskFact } from "../../../support/facts.ts";

const SECRET = new Uint8Array(32).fill(7);

describe("a member of the cluster", () => {
  const lines: string[] = [];

  /** One that listens where the kernel chooses, and talks to nobody. */
  async function start(state: NodeState | undefined): Promise<ClusterMember> {
    const key = deriveClusterKey(SECRET, undefined);
    return await ClusterMember.start({
      ...{ id: "n1", address: "127.0.0.1:1", listen: "127.0.0.1:0", seeds: [], keys: { primary: key, others: [] } },
      ...{ state, clock: systemClock, random: Math.random, onChange: () => {} },
      log: jsonLog(
        "test",
        "warn",
        () => new Date(),
        (line) => lines.push(line),
      ),
    });
  }

  it("shows at once all that its former self knew, its own words too", async () => {
    const before = await start(undefined);
    before.publisher.put(nodeFact("n1"));
    before.publisher.put(taskFact("n1", sampleTask()));
    before.publisher.flush();
    const state = before.gossip.state();
    before.stop(false);
    const after = await start(state);
    const { nodes, tasks } = after.view.snapshot();
    after.stop(false);
    expect(lines).to.deep.equal([]);
    expect([...nodes.keys()]).to.deep.equal(["n1"]);
    expect([...tasks.values()].map(({ body }) => body)).to.deep.equal([sampleTask()]);
  });
});
