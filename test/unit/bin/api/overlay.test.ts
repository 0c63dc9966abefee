import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { deleteAgents, forgetNodes, overlayAgentOverlay, overlayMasterState } from "../../../../bin/api/overlay.ts";
import { Refusal } from "../../../../bin/api/refusal.ts";
import type { Fact } from "../../../../facts/fact.ts";
import { NetError } from "../../../../lib/error.ts";
import { assignmentOf } from "../../../../overlay/leader/assignment.ts";
import { assignmentBody } from "../../../../overlay/leader/fact-body.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { draftOf, type Registry, registryOf } from "../../../../overlay/leader/registry.ts";
import { member, type SampleState, sampleState } from "../../../support/api-state.ts";
import { nodeFact, statusFact } from "../../../support/facts.ts";
import { network, node, rejectionOf } from "../../overlay/leader/fixture.ts";

/** The allocations of the documentation's example, in the order in which its nodes registered. */
function example(): Registry {
  const draft = draftOf(registryOf(network(), []));
  const master = { allocateSubnet: true, mesosBridge: false, dockerBridge: false };
  register(draft, node("m1", "172.17.0.2", { wish: master }), () => undefined);
  register(draft, node("a4", "172.17.0.4"), () => undefined);
  register(draft, node("a3", "172.17.0.3"), () => undefined);
  return draft;
}

/** The leading master, on which everything is well. */
function leading(): SampleState {
  const sample = sampleState();
  sample.master = { network: network(), leading: { epoch: 5, registry: example() }, problem: undefined };
  for (const id of ["m1", "a3", "a4"]) sample.learn(statusFact(id, "dcos"), statusFact(id, "dcos6"));
  sample.members = [member("m1"), member("a3", "unreachable"), member("a4")];
  return sample;
}

/** What the leader's `registry` gave to `id`, as it is published. */
function published(registry: Registry, id: string, owner: string): Fact {
  const record = registry.records.get(id);
  const assignment = assignmentOf(id, record, registry.refusals.get(id) ?? [], registry.network, 5);
  const body = assignmentBody(assignment, registry.network, { vni: 1024, port: 64_000 });
  if (body === undefined) throw new Error(`${id} has no assignment`);
  return { kind: "assignment", owner, key: id, version: 1, observedAt: 1000, body };
}

const FIXTURES = process.env["DCOS_NET_FIXTURES"];
const RECORDED = FIXTURES === undefined ? "" : join(FIXTURES, "overlay/overlay-master-state.json");

/** The documentation's example is older than the key `enabled`, and lists agents as they came. */
function asDocumented(state: object): unknown {
  const text = JSON.stringify(state, (key, value: unknown) => (key === "enabled" ? undefined : value));
  return withAgentsSorted(JSON.parse(text));
}

function withAgentsSorted(state: { agents: { ip: string }[] }): unknown {
  return { ...state, agents: state.agents.sort((a, b) => (a.ip < b.ip ? -1 : 1)) };
}

describe("GET /overlay-master/state", () => {
  const title = "is the documented example of the reference for the same nodes";
  if (existsSync(RECORDED)) {
    it(title, () => {
      const recorded = withAgentsSorted(JSON.parse(readFileSync(RECORDED, "utf8")));
      expect(asDocumented(overlayMasterState(leading().state))).to.deep.equal(recorded);
    });
  } else {
    it(`${title} (skipped: DCOS_NET_FIXTURES names no folder with overlay/overlay-master-state.json)`);
  }

  it("is only the configuration on a master that doesn't lead, as in the reference", () => {
    const sample = leading();
    sample.master = { network: network(), leading: undefined, problem: undefined };
    expect(overlayMasterState(sample.state)).to.have.all.keys("network");
  });

  it("isn't there on a node that is no master, which names the masters", () => {
    const sample = sampleState();
    const { body, ...head } = nodeFact("m2");
    sample.learn({ ...head, body: { ...body, role: "master" } });
    expect(() => overlayMasterState(sample.state))
      .to.throw(NetError, "m2.example (10.0.0.1)")
      .that.includes({ code: "not-found" });
  });
});

describe("GET /overlay-agent/overlay", () => {
  it("is the master's record of the node, with the number of attempts", () => {
    const sample = leading();
    sample.learn(published(example(), "a4", "m1"));
    const state = { ...sample.state, self: { ...sample.state.self, id: "a4", address: "172.17.0.4" } };
    const { agents } = overlayMasterState(sample.state) as { agents: { ip: string; overlays: object[] }[] };
    const record = agents.find(({ ip }) => ip === "172.17.0.4");
    expect(overlayAgentOverlay(state)).to.deep.equal({ configuration_attempts: 3, ...record });
  });

  it("has no overlays before the leader has spoken", () => {
    expect(overlayAgentOverlay(sampleState().state)).to.deep.equal({ configuration_attempts: 3, ip: "10.0.0.1" });
  });

  it("shows an overlay that was refused as failed, with the reason", () => {
    const sample = sampleState();
    const subnet = { name: "dcos", subnet: "9.0.0.0/24", prefix: 24 };
    const draft = draftOf(registryOf(network({ overlays: [subnet] }), []));
    register(draft, node("first", "10.0.0.9"), () => undefined);
    register(draft, node("m1", "10.0.0.1"), () => undefined);
    sample.learn(published(draft, "m1", "m1"));
    const { overlays } = overlayAgentOverlay(sample.state) as { overlays: { state: object }[] };
    expect(overlays[0]?.state).to.include({ status: "STATUS_FAILED" });
    expect(overlays[0]?.state).to.have.property("error").that.includes("overlay dcos subnet");
  });

  it("says why the leader gave it nothing", () => {
    const sample = sampleState();
    const body = { node: "m1", epoch: 1, overlays: [], refusal: "vtep_subnet is used up" };
    sample.learn({ kind: "assignment", owner: "m2", key: "m1", version: 1, observedAt: 1, body });
    expect(overlayAgentOverlay(sample.state)).to.include({ refused: "vtep_subnet is used up" });
  });
});

describe("POST /overlay-master/agents/delete", () => {
  it("forgets the node that is gone, and answers with the state after that", async () => {
    const sample = leading();
    sample.forget = async () => {
      const records = [...example().records.values()].filter(({ id }) => id !== "a3");
      const registry = registryOf(network(), records);
      sample.master = { network: network(), leading: { epoch: 5, registry }, problem: undefined };
    };
    const after = await deleteAgents(sample.state, { agents: ["172.17.0.3", "172.17.0.77"] });
    expect(sample.forgotten).to.deep.equal([["a3"]]);
    const { agents } = after as { agents: { ip: string }[] };
    expect(agents.map(({ ip }) => ip)).to.deep.equal(["172.17.0.2", "172.17.0.4"]);
  });

  it("does nothing for addresses that nobody has", async () => {
    const sample = leading();
    await deleteAgents(sample.state, { agents: ["172.17.0.77"] });
    expect(sample.forgotten).to.deep.equal([]);
  });

  const refused = async (sample: SampleState, body: unknown): Promise<NetError> => {
    const error = await rejectionOf(deleteAgents(sample.state, body));
    expect(sample.forgotten).to.deep.equal([]);
    return error;
  };

  it("refuses a live node with 409, and with it the whole request", async () => {
    const error = await refused(leading(), { agents: ["172.17.0.3", "172.17.0.4"] });
    expect(error).to.be.instanceOf(Refusal).and.to.include({ status: 409, code: "busy" });
    expect(error.said).to.include("172.17.0.4 (a4)");
  });

  it("refuses a body of another shape with 400", async () => {
    for (const body of [undefined, [], { agents: "172.17.0.3" }, { agents: ["fd00::1"] }, { agents: [5] }]) {
      expect(await refused(leading(), body)).to.include({ status: 400, code: "invalid" });
    }
  });

  it("answers 503 before it is known who is alive", async () => {
    const sample = leading();
    sample.settled = false;
    expect(await refused(sample, { agents: ["172.17.0.3"] })).to.include({ code: "unavailable" });
  });

  it("says who leads, when it is another master", async () => {
    const sample = leading();
    sample.master = { network: network(), leading: undefined, problem: undefined };
    sample.learn(nodeFact("m2", { overlayEpoch: 6 }));
    sample.members.push(member("m2"));
    const { code, remedy } = await refused(sample, { agents: ["172.17.0.3"] });
    expect({ code, remedy }).to.deep.equal({ code: "unavailable", remedy: "ask there: m2.example (10.0.0.1)" });
  });

  it("says why nobody leads, as far as it knows", async () => {
    const sample = leading();
    sample.master = { network: network(), leading: undefined, problem: "the store is away" };
    expect((await refused(sample, { agents: ["172.17.0.3"] })).said).to.include("the store is away");
  });

  it("passes on that the store failed", async () => {
    const sample = leading();
    sample.forget = () => Promise.reject(new NetError("unavailable", { tried: "store", said: "it broke" }));
    const error = await rejectionOf(deleteAgents(sample.state, { agents: ["172.17.0.3"] }));
    expect(error).to.include({ code: "unavailable", said: "it broke" });
  });
});

describe("POST /v1/nodes/forget", () => {
  const refused = async (sample: SampleState, body: unknown): Promise<NetError> => {
    const error = await rejectionOf(forgetNodes(sample.state, body));
    expect(sample.forgotten).to.deep.equal([]);
    return error;
  };

  it("forgets the nodes that are named, each once", async () => {
    const sample = leading();
    const answer = await forgetNodes(sample.state, { nodes: ["a3", "a3"] });
    expect(answer).to.deep.equal({ forgotten: ["a3"] });
    expect(sample.forgotten).to.deep.equal([["a3"]]);
  });

  it("forgets a node that is only in the allocations, or only in gossip", async () => {
    const sample = leading();
    sample.members = [member("m1"), member("left", "left")];
    await forgetNodes(sample.state, { nodes: ["a4", "left"] });
    expect(sample.forgotten).to.deep.equal([["a4", "left"]]);
  });

  it("refuses a live node, and with it the whole request", async () => {
    const error = await refused(leading(), { nodes: ["a3", "a4"] });
    expect(error).to.include({ code: "busy" });
    expect(error.said).to.match(/^a4 may be alive/);
    expect(await refused(leading(), { nodes: ["m1"] })).to.include({ code: "busy" });
  });

  it("refuses a node that nobody knows", async () => {
    const error = await refused(leading(), { nodes: ["a3", "a33"] });
    expect(error).to.include({ code: "not-found", said: "no node is known as a33" });
  });

  it("refuses a body of another shape", async () => {
    const many = Array.from({ length: 1001 }, (_, index) => `n${index}`);
    for (const body of [undefined, [], {}, { nodes: [] }, { nodes: [1] }, { nodes: ["../x"] }, { nodes: many }]) {
      expect(await refused(leading(), body)).to.include({ code: "invalid" });
    }
  });

  it("answers as agents/delete where that isn't to be had", async () => {
    const agent = leading();
    agent.master = undefined;
    expect(await refused(agent, { nodes: ["a3"] })).to.include({ code: "not-found" });
    const early = leading();
    early.settled = false;
    expect(await refused(early, { nodes: ["a3"] })).to.include({ code: "unavailable" });
  });
});
