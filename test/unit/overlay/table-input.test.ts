import { expect } from "chai";
import { openFake } from "../../../kernel/fake.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { parseNodesFile } from "../../../overlay/nodes-file.ts";
import { surroundings } from "../../../overlay/observe.ts";
import { ROUTE_PROTOCOL } from "../../../overlay/table.ts";
import { tableInputOf } from "../../../overlay/table-input.ts";

const CLUSTER = parseNodesFile(
  JSON.stringify({
    nodes: [
      { name: "n1", address: "10.0.0.1" },
      { name: "n2", address: "10.0.1.2" },
    ],
  }),
);

/** A host with 10.0.0.1 on a link of MTU 9000, and a route of this protocol and MTU to n2. */
function host(protocol: number, mtu: number) {
  const kernel = openFake();
  kernel.apply([
    { do: "link.add", link: { kind: "dummy", name: "eth0", mtu: 9000, up: true } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.0.0.1/24") } },
    { do: "route.add", route: { dst: parsePrefix("10.0.1.0/24"), dev: "eth0", mtu, protocol } },
  ]);
  return surroundings(kernel);
}

describe("what a node's table is computed from", () => {
  it("has the node itself, and the MTU of the way to its peers", () => {
    const { self, underlay } = tableInputOf(CLUSTER, "n1", host(4, 1400));
    expect(self.name).to.equal("n1");
    expect(underlay).to.deep.equal({ dev: "eth0", linkMtu: 9000, pathMtu: 1400 });
  });

  it("takes no route of the overlay itself for a way of the underlay", () => {
    expect(tableInputOf(CLUSTER, "n1", host(ROUTE_PROTOCOL, 1400)).underlay.pathMtu).to.equal(undefined);
  });

  it("needs a node of that name", () => {
    expect(() => tableInputOf(CLUSTER, "n3", host(4, 1400))).to.throw('find node "n3" in the cluster');
  });
});
