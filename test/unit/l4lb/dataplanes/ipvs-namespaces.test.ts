import { expect } from "chai";
import { type FakeKernel, openFake } from "../../../../kernel/fake.ts";
import { openIpvsDataplane } from "../../../../l4lb/dataplanes/ipvs.ts";
import { planServices } from "../../../../l4lb/plan.ts";
import { formatIp, parsePrefix } from "../../../../lib/address.ts";
import { service } from "../../../support/vip-services.ts";

const DIRECTORY = "/var/run/dcos/cni/l4lb";
const WEB = service("tcp 11.0.0.1:80", ["9.0.1.5"]);
const DNS = service("udp 11.0.0.2:53", ["9.0.1.6"]);

/** A node, its containers by name, and the directory of their registrations. */
function world() {
  const kernel = openFake();
  kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  const registered = new Map<string, string>();
  const files = {
    list: () => [...registered.keys()],
    read: (path: string) => {
      const content = registered.get(path.slice(DIRECTORY.length + 1));
      return content === undefined ? undefined : new TextEncoder().encode(content);
    },
  };
  const plane = openIpvsDataplane(kernel, {
    release: "6.1.0",
    random: () => 0,
    namespaces: { files, directory: DIRECTORY },
  });
  const container = (name: string): FakeKernel => {
    const path = `/run/netns/${name}`;
    kernel.createNetns(path);
    registered.set(name, path);
    const inner = within(kernel, path);
    inner.apply([
      { do: "link.set", dev: "lo", set: { up: true } },
      { do: "link.add", link: { kind: "dummy", name: "eth0", up: true } },
      { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.9.0.5/24") } },
    ]);
    return inner;
  };
  const want = (...services: (typeof WEB)[]) => plane.apply(planServices(plane.read(), services));
  return { kernel, plane, registered, container, want };
}

function within(kernel: FakeKernel, path: string): FakeKernel {
  const netns = kernel.openNetns(path);
  if (netns === undefined) throw new Error(`no namespace at ${path}`);
  return kernel.within(netns);
}

function portsOf(kernel: FakeKernel): (number | undefined)[] {
  return kernel.ipvs.services().map((each) => ("port" in each ? each.port : undefined));
}

describe("virtual IPs in namespaces of containers", () => {
  it("one that comes gets all services at the next preparation, and every change from then on", () => {
    const { plane, container, want } = world();
    plane.prepare();
    want(WEB);
    const inner = container("a");
    expect(plane.prepare().made).to.include.members(["link minuteman in /run/netns/a"]);
    expect(portsOf(inner)).to.deep.equal([80]);
    want(WEB, DNS);
    expect(portsOf(inner)).to.deep.equal([80, 53]);
    want(DNS);
    expect(portsOf(inner)).to.deep.equal([53]);
    expect(plane.prepare()).to.deep.equal({ made: [] });
  });

  it("connections there begin with the container's own address, and no firewall is needed", () => {
    const { plane, container, want } = world();
    plane.prepare();
    want(WEB);
    const inner = container("a");
    plane.prepare();
    const [route] = inner.routes({ table: 255, dev: "minuteman", local: true });
    expect(route?.source && formatIp(route.source)).to.equal("10.9.0.5");
    expect(inner.nftables.chains("inet", "dcos_l4lb_ipvs")).to.equal(undefined);
  });

  it("damage there is repaired, and named with its place", () => {
    const { plane, container, want } = world();
    const inner = container("a");
    plane.prepare();
    want(WEB);
    inner.ipvs.attempt([{ do: "service.delete", service: { protocol: 6, ip: WEB.ip, port: 80 } }]);
    inner.apply([{ do: "link.delete", dev: "minuteman" }]);
    expect(plane.prepare().made).to.deep.equal(["link minuteman in /run/netns/a"]);
    expect(portsOf(inner)).to.deep.equal([80]);
    expect(plane.prepare().made).to.deep.equal([]);
  });

  it("one that goes is let go of, one that is refused doesn't harm the others", () => {
    const { kernel, plane, container, registered, want } = world();
    const a = container("a");
    container("b");
    plane.prepare();
    want(WEB);
    registered.delete("b");
    registered.set("c", "/run/netns/none");
    registered.set("d", "relative");
    registered.set("a.17.tmp", "/run/netns/b");
    expect(plane.prepare()).to.deep.equal({ made: [] });
    kernel.failNext("EPERM", "ipvs", 2);
    expect(want(WEB, DNS)).to.deep.equal([undefined]);
    plane.prepare();
    expect(portsOf(a)).to.deep.equal([80, 53]);
    expect(portsOf(within(kernel, "/run/netns/b"))).to.deep.equal([]);
  });

  it("the same namespace registered twice is one", () => {
    const { plane, container, registered, want } = world();
    const inner = container("a");
    registered.set("again", "/run/netns/a");
    plane.prepare();
    want(WEB);
    expect(portsOf(inner)).to.deep.equal([80]);
    expect(plane.counters()).to.deep.equal([
      {
        key: { protocol: "tcp", ip: WEB.ip, port: 80 },
        backends: [{ ip: WEB.backends[0]?.ip, port: 8080, active: 0, total: 0, bytesIn: 0, bytesOut: 0 }],
      },
    ]);
  });

  it("removal leaves nothing in any of them", () => {
    const { plane, container, want } = world();
    const inner = container("a");
    plane.prepare();
    want(WEB);
    plane.remove();
    expect(inner.ipvs.services()).to.deep.equal([]);
    expect(inner.link("minuteman")).to.equal(undefined);
    plane.close();
  });
});
