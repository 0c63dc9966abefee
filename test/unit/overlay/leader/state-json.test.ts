import { expect } from "chai";
import { assignmentOf } from "../../../../overlay/leader/assignment.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import {
  agentOverlay,
  followerState,
  masterState,
  poolUsage,
  type StatusOf,
} from "../../../../overlay/leader/state-json.ts";
import { defaultWish } from "../../../../overlay/leader/types.ts";
import { network, node } from "./fixture.ts";

const ok: StatusOf = (id, overlay) => ({ node: id, overlay, status: "STATUS_OK", error: undefined, containers: 0 });
const silent: StatusOf = () => undefined;

const INFO = { enabled: true, name: "dcos", prefix: 24, subnet: "9.0.0.0/8" };
const INFO6 = { enabled: true, name: "dcos6", prefix6: 80, subnet6: "fd01:b::/64" };
const STATE = { status: "STATUS_OK" };

function vxlan(number: number): object {
  return {
    vni: 1024,
    vtep_ip: `44.128.0.${number}/20`,
    vtep_ip6: `fd01:a::${number}/64`,
    vtep_mac: `70:b3:d5:80:00:0${number}`,
    vtep_name: "vtep1024",
  };
}

/** The published example of the reference: a master with a subnet but without bridges, and an agent. */
function example(): Draft {
  const draft = draftOf(registryOf(network(), []));
  const master = { allocateSubnet: true, mesosBridge: false, dockerBridge: false };
  register(draft, node("m", "172.17.0.2", { wish: master }), () => undefined);
  register(draft, node("a", "172.17.0.4"), () => undefined);
  return draft;
}

describe("the JSON of the overlay endpoints", () => {
  it("is the published example of the reference, keys in its order", () => {
    const agents = [
      {
        ip: "172.17.0.2",
        overlays: [
          { backend: { vxlan: vxlan(1) }, info: INFO, state: STATE, subnet: "9.0.0.0/24" },
          { backend: { vxlan: vxlan(1) }, info: INFO6, state: STATE, subnet6: "fd01:b::/80" },
        ],
      },
      {
        ip: "172.17.0.4",
        overlays: [
          {
            backend: { vxlan: vxlan(2) },
            docker_bridge: { ip: "9.0.1.128/25", name: "d-dcos" },
            info: INFO,
            mesos_bridge: { ip: "9.0.1.0/25", name: "m-dcos" },
            state: STATE,
            subnet: "9.0.1.0/24",
          },
          {
            backend: { vxlan: vxlan(2) },
            docker_bridge: { ip6: "fd01:b::1:8000:0:0/81", name: "d-dcos6" },
            info: INFO6,
            mesos_bridge: { ip6: "fd01:b:0:0:1::/81", name: "m-dcos6" },
            state: STATE,
            subnet6: "fd01:b:0:0:1::/80",
          },
        ],
      },
    ];
    const configuration = {
      overlays: [INFO, INFO6],
      vtep_mac_oui: "70:B3:D5:00:00:00",
      vtep_subnet: "44.128.0.0/20",
      vtep_subnet6: "fd01:a::/64",
    };
    expect(JSON.stringify(masterState(example(), 1, ok))).to.equal(JSON.stringify({ agents, network: configuration }));
    expect(JSON.stringify(followerState(network()))).to.equal(JSON.stringify({ network: configuration }));
  });

  it("leaves out empty lists and absent values", () => {
    expect(masterState(registryOf(network(), []), 1, ok)).to.have.all.keys("network");
    const draft = draftOf(registryOf(network(), []));
    register(draft, node("m", "10.0.0.1", { wish: defaultWish("master") }), () => undefined);
    const text = JSON.stringify(masterState(draft, 1, silent));
    expect(text).not.to.match(/"(?:state|subnet|mesos_bridge|docker_bridge|exhausted)":\{?[^"]*(?:null|\[\])/);
    expect(text).not.to.include('"state"').and.not.to.include("mesos_bridge");
  });

  it("gives a node its own overlays with the word of its agent", () => {
    const draft = example();
    const record = draft.records.get("a");
    const assignment = assignmentOf("a", record, [], draft.network, 3);
    const failed: StatusOf = (id, overlay) => ({
      node: id,
      overlay,
      status: "STATUS_FAILED",
      error: "no vxlan module",
      containers: 0,
    });
    const body = JSON.parse(JSON.stringify(agentOverlay(assignment, draft.network, "172.17.0.4", 2, failed)));
    expect(Object.keys(body)).to.deep.equal(["configuration_attempts", "ip", "overlays"]);
    expect(body).to.include({ configuration_attempts: 2, ip: "172.17.0.4" });
    expect(body.overlays[0].state).to.deep.equal({ error: "no vxlan module", status: "STATUS_FAILED" });
  });

  it("carries vtep_mtu in the network and in every backend", () => {
    const draft = draftOf(registryOf(network({ vtep_mtu: 1400 }), []));
    register(draft, node("a", "10.0.0.1"), () => undefined);
    expect(JSON.stringify(masterState(draft, 1, ok)).match(/"vtep_mtu":1400/g)).to.have.length(3);
  });

  it("shows who was refused what, and how to help", () => {
    const overlays = [
      { name: "small", subnet: "9.0.0.0/24", prefix: 24 },
      { name: "large", subnet: "10.64.0.0/10", prefix: 24 },
    ];
    const draft = draftOf(registryOf(network({ overlays }), []));
    for (const number of [1, 2]) register(draft, node(`n${number}`, `10.0.0.${number}`), () => undefined);
    const body = JSON.parse(JSON.stringify(masterState(draft, 1, ok)));
    expect(body.agents[1].overlays).to.have.length(2);
    expect(body.agents[1].overlays[1]).to.not.have.property("subnet");
    expect(body.agents[1].overlays[1].state.status).to.equal("STATUS_FAILED");
    expect(body.agents[1].overlays[1].state.error).to.match(/all 1 of overlay small .*; forget nodes .* or widen/);
    expect(body.exhausted).to.have.length(2);
    expect(body.exhausted[1]).to.match(/^node n2 goes without overlay small: /);
    const usage = poolUsage(draft).find(({ key }) => key === "overlay small subnet");
    expect(usage).to.deep.equal({ key: "overlay small subnet", space: "9.0.0.0/24", size: 1n, used: 1n });
  });

  it("shows a node that got nothing at all", () => {
    const draft = draftOf(registryOf(network({ vtep_subnet: "44.128.0.0/30" }), []));
    for (const number of [1, 2, 3]) register(draft, node(`n${number}`, `10.0.0.${number}`), () => undefined);
    const body = JSON.parse(JSON.stringify(masterState(draft, 1, ok)));
    expect(body.agents).to.have.length(2);
    expect(body.exhausted.join("\n")).to.match(/node n3 goes without the overlays: vtep_subnet: all 2/);
    const assignment = assignmentOf("n3", undefined, draft.refusals.get("n3") ?? [], draft.network, 1);
    expect(agentOverlay(assignment, draft.network, "10.0.0.3", 0, silent)).to.deep.equal({
      configuration_attempts: 0,
      ip: "10.0.0.3",
    });
  });
});
