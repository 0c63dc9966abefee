import { expect } from "chai";
import { type FakeKernel, openFake } from "../../../../kernel/fake.ts";
import type { FakeFeatures } from "../../../../kernel/fake-state.ts";
import type { Change, Dataplane } from "../../../../l4lb/dataplane.ts";
import { openIpvsDataplane } from "../../../../l4lb/dataplanes/ipvs.ts";
import { openNftablesDataplane } from "../../../../l4lb/dataplanes/nftables.ts";
import { planServices } from "../../../../l4lb/plan.ts";
import type { Service } from "../../../../l4lb/service.ts";
import { formatIp, hostPrefix, parseIp, parsePrefix } from "../../../../lib/address.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { hasErrno, NetError } from "../../../../lib/error.ts";
import { service, sorted } from "../../../support/vip-services.ts";

const WEB = service("tcp 11.0.0.1:80", ["9.0.1.5", ["9.0.1.6", 3]]);
const WEB6 = service("tcp [fd01:c::1]:80", ["fd01:b::5"]);
const DNS = service("udp 11.0.0.1:53", ["9.0.1.5"]);
const TABLE = ["inet", "dcos_l4lb_ipvs"] as const;

function open(features: Partial<FakeFeatures> = {}): { kernel: FakeKernel; plane: Dataplane } {
  const kernel = openFake(features);
  kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  return { kernel, plane: planeOf(kernel) };
}

function planeOf(kernel: FakeKernel): Dataplane {
  return openIpvsDataplane(kernel, { release: "6.1.0-30-amd64", random: () => 0 });
}

function put(wanted: Service, before?: Service): Change {
  return { do: "put", service: wanted, before };
}

function want(plane: Dataplane, ...services: Service[]): (Error | undefined)[] {
  return plane.apply(planServices(plane.read(), services));
}

function routed(kernel: FakeKernel): string[] {
  return kernel.routes({ table: 255, dev: "minuteman", local: true }).map(({ dst }) => formatIp(dst.ip));
}

function elements(kernel: FakeKernel, set: string): string[] | undefined {
  return kernel.nftables.elements(...TABLE, set)?.map(({ key }) => key.join(" "));
}

describe("virtual IPs on IPVS in memory", () => {
  it("the first preparation makes settings, device and table, the next one nothing", () => {
    const { kernel, plane } = open();
    expect(plane.prepare().made).to.deep.equal([
      "setting net.ipv4.vs.conntrack = 1",
      "setting net.ipv4.vs.expire_nodest_conn = 1",
      "setting net.ipv4.vs.expire_quiescent_template = 1",
      "link minuteman",
      "table inet dcos_l4lb_ipvs",
    ]);
    expect(kernel.link("minuteman")).to.include({ kind: "dummy", up: true });
    expect(plane.prepare()).to.deep.equal({ made: [] });
  });

  it("without dummy devices a bridge does", () => {
    const { kernel, plane } = open({ dummy: false });
    plane.prepare();
    expect(kernel.link("minuteman")).to.include({ kind: "bridge", up: true });
  });

  it("a kernel without IPVS says so before anything is made", () => {
    const { kernel, plane } = open({ schedulers: [] });
    expect(() => plane.prepare()).to.throw(NetError, "this kernel has none");
    expect(kernel.link("minuteman")).to.equal(undefined);
  });

  it("balances by wlc, and says why, when a scheduler has no room for all backends", () => {
    const { kernel, plane } = open();
    plane.prepare();
    const addresses = Array.from({ length: 257 }, (_, index) => `9.0.${index >> 8}.${index & 255}`);
    const crowded = service("tcp 11.0.0.1:80", addresses, { scheduler: "sh" });
    const [error] = want(plane, crowded);
    expect(error?.message).to.include("room for 256 backends").and.include("it has 257, so wlc is used");
    expect(kernel.ipvs.services().map(({ scheduler }) => scheduler)).to.deep.equal(["wlc"]);
    expect(plane.read()).to.deep.equal([{ ...crowded, scheduler: "wlc" }]);
    const fitting = service("tcp 11.0.0.1:80", addresses.slice(1), { scheduler: "sh" });
    expect(want(plane, fitting)).to.deep.equal([undefined]);
    expect(plane.read()).to.deep.equal([fitting]);
  });

  it("an address is the node's from its first service on, and a while beyond its last", () => {
    const { kernel, plane } = open();
    plane.prepare();
    want(plane, WEB, DNS, WEB6);
    expect(routed(kernel)).to.deep.equal(["11.0.0.1", "fd01:c::1"]);
    expect([elements(kernel, "vips4"), elements(kernel, "vips6")]).to.deep.equal([["11.0.0.1"], ["fd01:c::1"]]);
    want(plane, DNS);
    plane.prepare();
    expect(routed(kernel)).to.deep.equal(["11.0.0.1", "fd01:c::1"]);
    expect(plane.prepare()).to.deep.equal({ made: [] });
    expect(routed(kernel)).to.deep.equal(["11.0.0.1"]);
    expect(elements(kernel, "vips6")).to.deep.equal([]);
  });

  it("connections of the node's own processes begin with its main address, also after that has changed", () => {
    const { kernel, plane } = open();
    const give = (verb: "address.add" | "address.delete", dev: string, text: string, noDad = false) =>
      kernel.apply([{ do: verb, address: { dev, address: parsePrefix(text), noDad } }]);
    const sources = () => kernel.routes({ table: 255, dev: "minuteman", local: true }).map(({ source }) => source);
    for (const name of ["eth0", "br0"]) kernel.apply([{ do: "link.add", link: { kind: "dummy", name, up: true } }]);
    give("address.add", "eth0", "192.0.2.10/24");
    give("address.add", "br0", "10.77.0.1/24");
    plane.prepare();
    want(plane, WEB, WEB6);
    expect(sources()).to.deep.equal([parseIp("192.0.2.10"), undefined]);
    give("address.add", "eth0", "2001:db8:2::10/64");
    expect(plane.prepare().made, "with an address that is still being checked").to.deep.equal([]);
    give("address.add", "br0", "2001:db8:1::10/64", true);
    give("address.delete", "eth0", "192.0.2.10/24");
    expect(plane.prepare().made).to.deep.equal(["route to 11.0.0.1", "route to fd01:c::1"]);
    expect(sources()).to.deep.equal([parseIp("10.77.0.1"), parseIp("2001:db8:1::10")]);
    expect(plane.prepare()).to.deep.equal({ made: [] });
  });

  it("the table masquerades by the same rules as that of the nftables data plane", () => {
    const { kernel, plane } = open();
    const other = openNftablesDataplane(kernel, systemClock);
    plane.prepare();
    other.prepare();
    const rules = (table: string, chain: string) =>
      kernel.nftables.outline("inet", table)?.chains.find(({ name }) => name === chain)?.rules;
    for (const family of [4, 6]) {
      const [note, ...rest] = rules("dcos_l4lb", `translated${family}`) ?? [];
      expect(note).to.equal("note");
      expect(rules(TABLE[1], "translated")).to.deep.equal(rest);
    }
    expect(rules(TABLE[1], "postrouting")).to.deep.equal(["translated IPv4", "translated IPv6"]);
  });

  it("an address whose service comes back between two preparations stays", () => {
    const { kernel, plane } = open();
    plane.prepare();
    want(plane, WEB);
    want(plane);
    plane.prepare();
    want(plane, WEB);
    plane.prepare();
    plane.prepare();
    expect(routed(kernel)).to.deep.equal(["11.0.0.1"]);
  });

  it("a missing scheduler is named, and another balances meanwhile", () => {
    const { kernel, plane } = open({ schedulers: ["wlc", "wrr"] });
    plane.prepare();
    const [error, other] = want(plane, { ...WEB, scheduler: "mh" }, { ...DNS, scheduler: "rr" });
    expect(error?.message).to.equal(
      "cannot balance tcp 11.0.0.1:80 by mh: the kernel has no such scheduler, so wlc is used; load its module (modprobe ip_vs_mh)",
    );
    expect(other).to.equal(undefined);
    expect(sorted(plane.read())).to.deep.equal(sorted([WEB, { ...DNS, scheduler: "rr" }]));
    expect(kernel.ipvs.services().map(({ scheduler }) => scheduler)).to.have.members(["wlc", "wrr"]);
  });

  it("a change that starts from a wrong belief ends with what is wanted", () => {
    const { plane } = open();
    plane.prepare();
    want(plane, WEB);
    const wanted = service("tcp 11.0.0.1:80", ["9.0.1.6", "9.0.1.7"], { scheduler: "rr" });
    const beliefs = [undefined, WEB6, service("tcp 11.0.0.1:80", ["9.0.1.99"]), WEB];
    for (const before of beliefs) {
      want(plane, WEB);
      expect(plane.apply([put(wanted, before)])).to.deep.equal([undefined]);
      expect(plane.read()).to.deep.equal([wanted]);
      want(plane);
      expect(plane.apply([put(wanted, before)]), "with nothing there").to.deep.equal([undefined]);
      expect(plane.read()).to.deep.equal([wanted]);
    }
  });

  it("a service of somebody else is neither changed nor deleted, and the refusal says whose it is", () => {
    const { kernel, plane } = open();
    plane.prepare();
    const theirs = {
      protocol: 6,
      ip: parseIp("11.0.0.1"),
      port: 80,
      scheduler: "lc",
      persistence: 0,
      onePacket: false,
      schedulerFlags: 0,
    };
    kernel.ipvs.attempt([{ do: "service.add", service: theirs }]);
    const [error, other] = plane.apply([put(WEB), put(DNS)]);
    expect(error?.message).to.include("somebody else has a service of this address and port");
    expect(other).to.equal(undefined);
    expect(plane.apply([{ do: "delete", key: WEB, before: WEB }])).to.deep.equal([undefined]);
    plane.remove();
    expect(kernel.ipvs.services().map(({ scheduler }) => scheduler)).to.deep.equal(["lc"]);
  });

  it("what the reference has left is taken over without a break", () => {
    const { kernel, plane } = open();
    const ip = parseIp("11.0.0.1");
    const key = { protocol: 6, ip, port: 80 };
    const plain = { scheduler: "wlc", persistence: 0, onePacket: false, schedulerFlags: 0 };
    kernel.apply([
      { do: "link.add", link: { kind: "dummy", name: "minuteman", up: true } },
      { do: "route.add", route: { dst: hostPrefix(ip), dev: "minuteman", table: 255, local: true } },
    ]);
    kernel.ipvs.attempt([
      { do: "service.add", service: { ...key, ...plain } },
      {
        do: "destination.add",
        service: key,
        destination: { ip: parseIp("9.0.1.5"), port: 8080, forwarding: "masquerade", weight: 1 },
      },
      { do: "service.add", service: { ...key, ip: parseIp("192.0.2.1"), ...plain } },
    ]);
    expect(plane.prepare().made).to.include.members(["mark of virtual service tcp 11.0.0.1:80", "route to 11.0.0.1"]);
    const found = service("tcp 11.0.0.1:80", ["9.0.1.5"]);
    expect(plane.read()).to.deep.equal([found]);
    expect(planServices(plane.read(), [found])).to.deep.equal([]);
    expect(plane.prepare()).to.deep.equal({ made: [] });
  });

  it("lost answers are the failure of their own change, and the next pass makes it good", () => {
    const { kernel, plane } = open();
    plane.prepare();
    kernel.failNext("ENOBUFS", "ipvs", 3);
    const outcome = plane.apply([put(WEB), put(DNS), put(WEB6)]);
    expect(outcome.map((error) => hasErrno(error, "ENOBUFS"))).to.deep.equal([false, true, false]);
    expect(want(plane, WEB, DNS, WEB6).every((error) => error === undefined)).to.equal(true);
    expect(sorted(plane.read())).to.deep.equal(sorted([WEB, DNS, WEB6]));
    expect(planServices(plane.read(), [WEB, DNS, WEB6])).to.deep.equal([]);
  });

  it("an address that can't be made the node's fails its services, and comes with the next preparation", () => {
    for (const point of ["route.replace", "nftables"] as const) {
      const { kernel, plane } = open();
      plane.prepare();
      kernel.failNext("EBUSY", point);
      expect(hasErrno(plane.apply([put(WEB)])[0], "EBUSY"), point).to.equal(true);
      expect(plane.prepare().made, point).to.have.lengthOf(1);
      expect(routed(kernel), point).to.deep.equal(["11.0.0.1"]);
      expect(elements(kernel, "vips4"), point).to.deep.equal(["11.0.0.1"]);
    }
  });

  it("rules that somebody has changed are made anew with their addresses", () => {
    const { kernel, plane } = open();
    plane.prepare();
    want(plane, WEB);
    const damages = [`flush chain ${TABLE.join(" ")} postrouting`, `delete table ${TABLE.join(" ")}`];
    for (const damage of damages) {
      kernel.nftables.run([damage]);
      expect(plane.prepare().made, damage).to.deep.equal(["table inet dcos_l4lb_ipvs"]);
      expect(elements(kernel, "vips4"), damage).to.deep.equal(["11.0.0.1"]);
    }
    kernel.nftables.run([`delete element ${TABLE.join(" ")} vips4 { 11.0.0.1 }`]);
    expect(plane.prepare().made).to.deep.equal(["11.0.0.1 in table inet dcos_l4lb_ipvs"]);
    expect(plane.prepare().made).to.deep.equal([]);
  });

  it("the device stays while another data plane has routes there, and goes with the last of them", () => {
    for (const first of ["ipvs", "nftables"] as const) {
      const { kernel, plane } = open();
      const other = openNftablesDataplane(kernel, systemClock);
      const planes = first === "ipvs" ? [plane, other] : [other, plane];
      for (const each of planes) {
        each.prepare();
        expect(want(each, WEB)).to.deep.equal([undefined]);
      }
      const [former, present] = planes;
      former?.remove();
      expect(present?.prepare().made, first).to.deep.equal([]);
      expect(present?.read(), first).to.deep.equal([WEB]);
      present?.remove();
      expect(kernel.link("minuteman"), first).to.equal(undefined);
    }
  });

  it("removal leaves nothing of ours", () => {
    const { kernel, plane } = open();
    plane.prepare();
    want(plane, WEB, DNS, WEB6);
    plane.remove();
    expect(kernel.ipvs.services()).to.deep.equal([]);
    expect(kernel.link("minuteman")).to.equal(undefined);
    expect(kernel.nftables.chains(...TABLE)).to.equal(undefined);
    plane.remove();
  });
});
