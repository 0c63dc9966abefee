import { expect } from "chai";
import { formatIp, formatPrefix, parseIp } from "../../../../lib/address.ts";
import type { Cluster } from "../../../../overlay/cluster.ts";
import { assignmentOf } from "../../../../overlay/leader/assignment.ts";
import { clusterOf, type NodeAddresses } from "../../../../overlay/leader/cluster-view.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import { parseNodesFile } from "../../../../overlay/nodes-file.ts";
import { network, node } from "./fixture.ts";

function registered(changes: object = {}): Draft {
  const draft = draftOf(registryOf(network(changes), []));
  for (const number of [1, 2, 3]) register(draft, node(`n${number}`, `10.0.0.${number}`), () => undefined);
  return draft;
}

function view(draft: Draft, addressesOf: (id: string) => NodeAddresses | undefined = () => undefined): Cluster {
  const assignments = [...draft.records].map(([id, record]) => assignmentOf(id, record, [], draft.network, 4));
  const networks = [{ epoch: 4, network: draft.network }];
  const cluster = clusterOf({ networks, assignments, addressesOf, vni: 1024, port: 64_000, overlayMtu: undefined });
  if (cluster === undefined) throw new Error("a leader has spoken");
  return cluster;
}

describe("the cluster from facts", () => {
  it("is what the static nodes file gives for the same nodes", () => {
    const nodes = [1, 2, 3].map((number) => ({ name: `n${number}`, address: `10.0.0.${number}` }));
    expect(view(registered())).to.deep.equal(parseNodesFile(JSON.stringify({ nodes })));
  });

  it("is not there before a leader has spoken", () => {
    const nothing = { networks: [], assignments: [], addressesOf: () => undefined };
    expect(clusterOf({ ...nothing, vni: 1, port: 1, overlayMtu: undefined })).to.equal(undefined);
  });

  it("takes the highest epoch's configuration", () => {
    const [low, high] = [network({ vtep_mtu: 1400 }), network({ vtep_mtu: 1300 })];
    const networks = [
      { epoch: 9, network: high },
      { epoch: 2, network: low },
    ];
    const rest = { assignments: [], addressesOf: () => undefined, vni: 1, port: 1, overlayMtu: undefined };
    expect(clusterOf({ networks, ...rest })?.vtepMtu).to.equal(1300);
  });

  it("takes a node's own word for its address, as that is newer while masters are away", () => {
    const moved = { address: parseIp("10.0.9.9"), address6: parseIp("fd00::9") };
    const { nodes } = view(registered(), (id) => (id === "n2" ? moved : undefined));
    expect(nodes.map(({ address }) => formatIp(address))).to.deep.equal(["10.0.0.1", "10.0.9.9", "10.0.0.3"]);
  });

  it("has one node for each address: the one that the leader means", () => {
    const draft = registered();
    register(draft, node("new", "10.0.0.2"), () => undefined);
    const { nodes } = view(draft, (id) =>
      id === "n2" ? { address: parseIp("10.0.0.2"), address6: undefined } : undefined,
    );
    expect(nodes.map(({ name }) => name)).to.deep.equal(["n1", "n3", "new"]);
  });

  it("has a disabled overlay while somebody has a subnet of it, and no longer", () => {
    const overlay = { name: "x", subnet: "9.0.0.0/8", prefix: 24 };
    const draft = registered({ overlays: [overlay] });
    draft.network = network({ overlays: [{ ...overlay, enabled: false }] });
    expect(view(draft).overlays.map(({ name }) => name)).to.deep.equal(["x"]);
    draft.records.clear();
    expect(view(draft).overlays).to.deep.equal([]);
  });

  it("leaves out subnets that are not of the present range", () => {
    const draft = registered({ overlays: [{ name: "x", subnet: "9.0.0.0/8", prefix: 24 }] });
    draft.network = network({ overlays: [{ name: "x", subnet: "10.64.0.0/16", prefix: 24 }] });
    expect(view(draft).nodes[0]?.subnets.get("x")).to.deep.equal({ v4: undefined, v6: undefined });
    const [first] = view(registered()).nodes;
    expect([...(first?.subnets.values() ?? [])].map(({ v4 }) => v4 && formatPrefix(v4))[0]).to.equal("9.0.0.0/24");
  });
});
