import { expect } from "chai";
import { openFake } from "../../../kernel/fake.ts";
import type { Route } from "../../../kernel/kernel.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { parseNodesFile } from "../../../overlay/nodes-file.ts";
import { underlayOf } from "../../../overlay/underlay.ts";

function cluster(pathMtus: readonly (number | undefined)[] = []) {
  const nodes = ["10.0.0.1", "10.0.1.2", "10.0.2.3"].map((address, index) => ({
    name: `n${index + 1}`,
    address,
    path_mtu: pathMtus[index],
  }));
  const [self, ...peers] = parseNodesFile(JSON.stringify({ nodes })).nodes;
  if (self === undefined) throw new Error("the file has nodes");
  return { self, peers };
}

/** A host with 10.0.0.1 on a link of MTU 9000, and these routes. */
function host(...routes: Route[]) {
  const kernel = openFake();
  kernel.apply([
    { do: "link.add", link: { kind: "dummy", name: "eth0", mtu: 9000, up: true } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.0.0.1/24") } },
    ...routes.map((route) => ({ do: "route.add", route }) as const),
  ]);
  return { links: kernel.links(), addresses: kernel.addresses(), routes: kernel.routes() };
}

const via = (dst: string, mtu?: number): Route => ({
  dst: parsePrefix(dst),
  dev: "eth0",
  ...(mtu === undefined ? {} : { mtu }),
});

describe("the underlay", () => {
  it("is the link with the node's own address", () => {
    const { self, peers } = cluster();
    expect(underlayOf(self, peers, host())).to.deep.equal({ dev: "eth0", linkMtu: 9000, pathMtu: undefined });
  });

  it("is unknown when no link has the address", () => {
    const { self, peers } = cluster();
    const unknown = underlayOf(self, peers, { links: [], addresses: [], routes: [] });
    expect(unknown).to.deep.equal({ dev: undefined, linkMtu: undefined, pathMtu: undefined });
  });

  it("takes the MTU of a route that leads to a peer", () => {
    const { self, peers } = cluster();
    const { pathMtu } = underlayOf(self, peers, host(via("0.0.0.0/0", 1400), via("10.0.2.0/24", 1300)));
    expect(pathMtu).to.equal(1300);
  });

  it("doesn't mind the MTU of a route that leads to no peer, or from which narrower ones take all peers", () => {
    const { self, peers } = cluster();
    const routes = [via("192.168.0.0/16", 1000), via("0.0.0.0/0", 1100), via("10.0.1.0/24"), via("10.0.2.0/24", 1200)];
    expect(underlayOf(self, peers, host(...routes)).pathMtu).to.equal(1200);
  });

  it("takes what the nodes file says of a path", () => {
    const { self, peers } = cluster([undefined, 1500, 1350]);
    expect(underlayOf(self, peers, host()).pathMtu).to.equal(1350);
  });
});
