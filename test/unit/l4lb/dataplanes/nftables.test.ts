import { expect } from "chai";
import fc from "fast-check";
import { type FakeKernel, openFake } from "../../../../kernel/fake.ts";
import type { FailurePoint } from "../../../../kernel/fake-failure.ts";
import type { Dataplane } from "../../../../l4lb/dataplane.ts";
import { openNftablesDataplane } from "../../../../l4lb/dataplanes/nftables.ts";
import { planServices } from "../../../../l4lb/plan.ts";
import { type Service, serviceName } from "../../../../l4lb/service.ts";
import { formatIp, parseIp, parsePrefix } from "../../../../lib/address.ts";
import { service, services, sorted } from "../../../support/vip-services.ts";

const TABLE = ["inet", "dcos_l4lb"] as const;

function open(kernel: FakeKernel, time = { now: 0 }): Dataplane {
  const plane = openNftablesDataplane(kernel, { monotonic: () => time.now });
  plane.prepare();
  return plane;
}

/** Makes these the services, and tells what was refused. */
function settle(plane: Dataplane, wanted: readonly Service[]): Error[] {
  return plane.apply(planServices(plane.read(), wanted)).filter((error) => error !== undefined);
}

describe("the nftables data plane when the kernel refuses", function () {
  this.timeout(30_000);

  it("does what it can, says what it can't, and has it all with the next pass", () => {
    const failure = fc.record({
      errno: fc.constantFrom("EBUSY", "ENOBUFS", "EEXIST", "ENOENT", "EPERM"),
      point: fc.constantFrom<FailurePoint>("nftables", "nftables", "conntrack", "route.replace", "route.delete"),
      passing: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(services, services, fc.array(failure, { maxLength: 6 }), (first, second, failures) => {
        const kernel = openFake();
        const plane = open(kernel);
        expect(settle(plane, first)).to.deep.equal([]);
        for (const { errno, point, passing } of failures) kernel.failNext(errno, point, passing);
        const changes = planServices(plane.read(), second);
        const outcome = plane.apply(changes);
        kernel.forgetFailures();
        expect(outcome).to.have.length(changes.length);
        const left = new Set(plane.read().map(serviceName));
        for (const [index, change] of changes.entries()) {
          if (outcome[index] !== undefined) continue;
          const name = serviceName(change.do === "put" ? change.service : change.key);
          expect(left.has(name), name).to.equal(change.do === "put");
        }
        expect(settle(plane, second)).to.deep.equal([]);
        expect(sorted(plane.read())).to.deep.equal(sorted(second));
        const other = open(kernel);
        expect(sorted(other.read()), "as another object sees it").to.deep.equal(sorted(second));
      }),
      { numRuns: 40 },
    );
  });

  it("owes the end of connections until the kernel has forgotten them", () => {
    const kernel = openFake();
    const plane = open(kernel);
    settle(plane, [service("udp 11.0.0.1:53", ["10.0.0.1"])]);
    kernel.addFlow({
      protocol: 17,
      source: parseIp("10.9.9.9"),
      destination: parseIp("11.0.0.1"),
      sourcePort: 5353,
      destinationPort: 53,
      replySource: parseIp("10.0.0.1"),
      replySourcePort: 8080,
    });
    const wanted = [service("udp 11.0.0.1:53", ["10.0.0.2"])];
    kernel.failNext("ENOBUFS", "conntrack");
    expect(settle(plane, wanted).map(({ message }) => message)).to.have.length(1);
    expect(kernel.conntrack.list(4)).to.have.length(1);
    expect(settle(plane, wanted), "the service itself is as wanted").to.deep.equal([]);
    kernel.failNext("ENOBUFS", "conntrack");
    expect(() => plane.prepare()).to.throw(/ENOBUFS/);
    plane.prepare();
    expect(kernel.conntrack.list(4)).to.deep.equal([]);
  });

  it("forgets clients of a backend that went, also when what the service had been is damaged", () => {
    const kernel = openFake();
    const plane = open(kernel);
    const sticky = (client: string, backend: string) => ({
      key: `${client}0b0000010600000000500000`,
      data: `${backend}1f900000`,
    });
    const left = () => (kernel.nftables.rawElements(...TABLE, "sticky4_300") ?? []).map(({ key }) => key.slice(0, 8));
    const both = service("tcp 11.0.0.1:80", ["10.0.0.1", "10.0.0.2"], { affinity: 300 });
    const one = service("tcp 11.0.0.1:80", ["10.0.0.2"], { affinity: 300 });
    const elements = [sticky("0a090901", "0a000001"), sticky("0a090902", "0a000002")];
    const note = () =>
      kernel.nftables.changeElements(...TABLE, [
        { do: "create", set: "sticky4_300", elements: elements.filter(({ key }) => !left().includes(key.slice(0, 8))) },
      ]);
    settle(plane, [both]);
    note();
    settle(plane, [one]);
    expect(left()).to.deep.equal(["0a090902"]);
    settle(plane, [both]);
    note();
    const [named] = kernel.nftables.rawElements(...TABLE, "services4") ?? [];
    if (named === undefined) throw new Error("no service");
    kernel.nftables.changeElements(...TABLE, [{ do: "delete", set: "services4", elements: [named] }]);
    settle(plane, [one]);
    expect(left(), "after damage").to.deep.equal(["0a090902"]);
    settle(plane, []);
    expect(left()).to.deep.equal([]);
  });

  it("tries once more from what is there, so that one refusal by chance goes unnoticed", () => {
    const kernel = openFake();
    const plane = open(kernel);
    const wanted = [service("tcp 11.0.0.1:80", ["10.0.0.1", "10.0.0.2"])];
    expect(settle(plane, [service("tcp 11.0.0.1:80", ["10.0.0.3"])])).to.deep.equal([]);
    kernel.failNext("EBUSY", "nftables");
    expect(settle(plane, wanted)).to.deep.equal([]);
    expect(plane.read()).to.deep.equal(wanted);
  });

  it("goes by what is there, when somebody has changed elements since the last reading", () => {
    const kernel = openFake();
    const plane = open(kernel);
    const wanted = [service("tcp 11.0.0.1:80", ["10.0.0.1"]), service("tcp 11.0.0.2:80", ["10.0.0.1", "10.0.0.2"])];
    expect(settle(plane, wanted)).to.deep.equal([]);
    for (const set of ["services4", "random4_1"]) {
      const elements = kernel.nftables.rawElements(...TABLE, set) ?? [];
      kernel.nftables.changeElements(...TABLE, [{ do: "delete", set, elements: elements.slice(0, 1) }]);
    }
    const changed = [
      service("tcp 11.0.0.1:80", ["10.0.0.9"]),
      service("tcp 11.0.0.2:80", ["10.0.0.2"], { scheduler: "rr" }),
    ];
    const outcome = plane.apply(changed.map((each) => ({ do: "put", service: each, before: undefined })));
    expect(outcome).to.deep.equal([undefined, undefined]);
    expect(sorted(plane.read())).to.deep.equal(sorted(changed));
  });

  it("names the one service that can't be, and makes all the others", () => {
    const kernel = openFake();
    const plane = open(kernel);
    const many = Array.from({ length: 20 }, (_, index) => service(`tcp 11.0.0.1:${index + 1}`, ["10.0.0.1"]));
    const impossible = service("tcp 11.0.0.1:99", [["10.0.0.1", 70_000]]);
    const outcome = plane.apply([...many, impossible].map((each) => ({ do: "put", service: each, before: undefined })));
    expect(outcome.filter((error) => error !== undefined)).to.have.length(1);
    expect(outcome.at(-1)?.message).to.include("tcp 11.0.0.1:99").and.include("weight 70000");
    expect(plane.read()).to.have.length(20);
  });

  it("makes a bridge where the kernel has no dummy devices, and says so when it has neither", () => {
    const kernel = openFake();
    kernel.failNext("EOPNOTSUPP", "link.add");
    open(kernel);
    expect(kernel.link("minuteman")?.kind).to.equal("bridge");
    const other = openFake();
    other.failNext("EOPNOTSUPP", "link.add");
    other.failNext("EPERM", "link.add");
    expect(() => open(other)).to.throw(/EOPNOTSUPP.*EPERM.*load the kernel module dummy/);
  });
});

describe("the nftables data plane, asked whether all is as it was left", () => {
  const SERVICE = service("tcp 11.0.0.1:80", ["9.0.0.1"]);
  const pass = (plane: Dataplane) => {
    plane.prepare();
    plane.read();
  };

  it("says yes after a pass and changes of its own, and no before that and when an address is due to go", () => {
    const kernel = openFake();
    const time = { now: 0 };
    const plane = open(kernel, time);
    expect(plane.isQuiet?.(), "before it was read").to.equal(false);
    settle(plane, [SERVICE]);
    pass(plane);
    expect(plane.isQuiet?.(), "with a service").to.equal(true);
    plane.apply([{ do: "put", service: service("tcp 11.0.0.1:80", ["9.0.0.2"]), before: SERVICE }]);
    pass(plane);
    plane.apply([{ do: "delete", key: SERVICE, before: SERVICE }]);
    pass(plane);
    expect(plane.isQuiet?.(), "while its address lingers").to.equal(true);
    time.now += 60_000;
    expect(plane.isQuiet?.(), "when it has to go").to.equal(false);
    pass(plane);
    pass(plane);
    expect([plane.isQuiet?.(), kernel.routes({ dev: "minuteman", family: 4 })]).to.deep.equal([true, []]);
  });

  it("says yes, and reads nothing, whatever others do with tables of their own", () => {
    const kernel = openFake();
    const plane = open(kernel);
    settle(plane, [SERVICE]);
    pass(plane);
    let reads = 0;
    const { rawElements } = kernel.nftables;
    Object.assign(kernel.nftables, {
      rawElements: (...set: Parameters<typeof rawElements>) => {
        reads++;
        return rawElements(...set);
      },
    });
    kernel.nftables.run(["add table inet other", "add chain inet other c"]);
    expect(plane.isQuiet?.()).to.equal(true);
    kernel.nftables.run(["delete table inet other"]);
    const changed = service("tcp 11.0.0.1:80", ["9.0.0.2"]);
    expect(settle(plane, [changed])).to.deep.equal([]);
    pass(plane);
    expect([plane.isQuiet?.(), reads]).to.deep.equal([true, 0]);
    expect(open(kernel).read()).to.deep.equal([changed]);
  });

  it("says no until the next pass when somebody has changed rules, routes or the device, or a flow has to go", () => {
    const kernel = openFake();
    const plane = open(kernel);
    settle(plane, [SERVICE]);
    const damages: readonly (() => void)[] = [
      () => kernel.nftables.run(["flush chain inet dcos_l4lb choose4"]),
      () => kernel.apply([{ do: "route.delete", route: { dst: parsePrefix("11.0.0.1/32"), dev: "minuteman" } }]),
      () => kernel.apply([{ do: "link.set", dev: "minuteman", set: { up: false } }]),
      () => {
        kernel.failNext("EBUSY", "conntrack");
        plane.apply([{ do: "delete", key: SERVICE, before: SERVICE }]);
      },
    ];
    for (const [index, damage] of damages.entries()) {
      pass(plane);
      settle(plane, [SERVICE]);
      pass(plane);
      expect(plane.isQuiet?.(), `before ${index}`).to.equal(true);
      damage();
      expect([plane.isQuiet?.(), plane.isQuiet?.()], `after ${index}`).to.deep.equal([false, false]);
    }
  });
});

describe("addresses of the nftables data plane", () => {
  const routes = (kernel: FakeKernel) =>
    kernel.routes({ dev: "minuteman" }).flatMap(({ dst, protocol }) => (protocol === 172 ? [formatIp(dst.ip)] : []));

  it("stay for a minute after their last service, so that late senders are refused, and go then", () => {
    const kernel = openFake();
    const time = { now: 1000 };
    const plane = open(kernel, time);
    const kept = service("tcp 11.0.0.2:80", ["10.0.0.1"]);
    expect(settle(plane, [service("tcp 11.0.0.1:80", ["10.0.0.1"]), kept])).to.deep.equal([]);
    expect(settle(plane, [kept])).to.deep.equal([]);
    plane.prepare();
    time.now += 59_999;
    expect(plane.prepare().made).to.deep.equal([]);
    expect(routes(kernel)).to.have.members(["11.0.0.1", "11.0.0.2"]);
    time.now += 1;
    expect(plane.prepare().made).to.deep.equal([]);
    expect(routes(kernel)).to.deep.equal(["11.0.0.2"]);
    expect(kernel.nftables.rawElements(...TABLE, "vips4")).to.deep.equal([{ key: "0b000002" }]);
  });

  it("that come back in that minute stay", () => {
    const kernel = openFake();
    const time = { now: 0 };
    const plane = open(kernel, time);
    const wanted = [service("tcp 11.0.0.1:80", ["10.0.0.1"])];
    settle(plane, wanted);
    settle(plane, []);
    plane.prepare();
    time.now += 30_000;
    settle(plane, wanted);
    time.now += 60_000;
    plane.prepare();
    expect(routes(kernel)).to.deep.equal(["11.0.0.1"]);
    expect(plane.read()).to.deep.equal(wanted);
  });

  it("have their flows forgotten when their services come and go, and nobody else's", () => {
    const kernel = openFake();
    const plane = open(kernel);
    const flow = (destination: string, replySource: string, destinationPort = 80) => ({
      protocol: 6,
      source: parseIp("10.9.9.9"),
      destination: parseIp(destination),
      sourcePort: 40_000,
      destinationPort,
      replySource: parseIp(replySource),
      replySourcePort: 8080,
    });
    const left = () => kernel.conntrack.list(4).map(({ replySource }) => formatIp(replySource));
    settle(plane, [service("tcp 11.0.0.1:80", ["10.0.0.1", "10.0.0.2"])]);
    kernel.addFlow(flow("11.0.0.1", "10.0.0.1"));
    kernel.addFlow(flow("11.0.0.1", "10.0.0.2"));
    kernel.addFlow(flow("11.0.0.1", "10.0.0.3", 81));
    kernel.addFlow(flow("192.0.2.1", "10.0.0.4"));
    settle(plane, [service("tcp 11.0.0.1:80", [["10.0.0.1", 0], "10.0.0.2"])]);
    expect(left(), "one that only drains keeps them").to.have.length(4);
    settle(plane, [service("tcp 11.0.0.1:80", ["10.0.0.2"])]);
    expect(left()).to.have.members(["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    settle(plane, []);
    expect(left()).to.have.members(["10.0.0.3", "10.0.0.4"]);
  });
});
