import { expect } from "chai";
import { refusalError, VipKeeper } from "../../../l4lb/apply.ts";
import { newVipMetrics } from "../../../l4lb/metric.ts";
import { type Service, serviceName } from "../../../l4lb/service.ts";
import { parseIp } from "../../../lib/address.ts";
import { MemoryDataplane } from "../../support/vip-dataplane.ts";

function service(port: number, ...backends: readonly [last: number, weight: number][]): Service {
  return {
    ...{ protocol: "tcp", ip: parseIp("11.0.0.1"), port, scheduler: "wlc", affinity: 0 },
    backends: backends.map(([last, weight]) => ({ ip: parseIp(`9.0.0.${last}`), port: 80, weight })),
  };
}

const wanted = (...services: readonly Service[]): Map<string, Service> =>
  new Map(services.map((each) => [serviceName(each), each]));
const change = (before: Service | undefined, after: Service | undefined) => {
  const name = serviceName(after ?? before ?? service(1));
  return [[name, { before, after }]] as const;
};

function bench() {
  const dataplane = new MemoryDataplane();
  const metrics = newVipMetrics();
  return { dataplane, metrics, keeper: new VipKeeper({ dataplane, metrics, monotonic: () => 0 }) };
}

const ONE = service(80, [1, 1]);
const TWO = service(80, [1, 1], [2, 1]);
const OTHER = service(81, [3, 1]);

describe("the keeper of a kernel's services", () => {
  it("makes the kernel what the table says, and then does nothing", () => {
    const { dataplane, keeper, metrics } = bench();
    keeper.reconcile(wanted(TWO, OTHER), true);
    expect(dataplane.content()).to.deep.equal([
      "tcp 11.0.0.1:80 → 9.0.0.1:80*1 9.0.0.2:80*1",
      "tcp 11.0.0.1:81 → 9.0.0.3:80*1",
    ]);
    const asked = dataplane.log.length;
    expect(keeper.reconcile(wanted(TWO, OTHER), true)).to.deep.equal({ repaired: [], refused: [] });
    expect([dataplane.log.length, metrics.changes, metrics.repairs]).to.deep.equal([asked, 2, 0]);
  });

  it("carries out news without reading the kernel", () => {
    const { dataplane, keeper } = bench();
    keeper.reconcile(wanted(ONE), true);
    keeper.change(change(ONE, TWO), true);
    keeper.change(change(undefined, OTHER), true);
    keeper.change(change(TWO, undefined), true);
    expect(dataplane.content()).to.deep.equal(["tcp 11.0.0.1:81 → 9.0.0.3:80*1"]);
    expect([dataplane.reads, keeper.has("tcp 11.0.0.1:80"), keeper.has("tcp 11.0.0.1:81")]).to.deep.equal([
      1,
      false,
      true,
    ]);
  });

  it("removes nothing while the table may be known in part only, and then what is too much", () => {
    const { dataplane, keeper } = bench();
    for (const each of [TWO, OTHER]) dataplane.services.set(serviceName(each), each);
    const drained = service(80, [1, 0]);
    keeper.reconcile(wanted(drained), false);
    keeper.change(change(drained, undefined), false);
    expect(dataplane.content()).to.deep.equal([
      "tcp 11.0.0.1:80 → 9.0.0.1:80*0 9.0.0.2:80*1",
      "tcp 11.0.0.1:81 → 9.0.0.3:80*1",
    ]);
    keeper.reconcile(wanted(drained), true);
    expect(dataplane.content()).to.deep.equal(["tcp 11.0.0.1:80 → 9.0.0.1:80*0"]);
  });

  it("puts back what somebody else changed, and names it", () => {
    const { dataplane, keeper, metrics } = bench();
    keeper.reconcile(wanted(TWO, OTHER), true);
    dataplane.services.delete(serviceName(OTHER));
    dataplane.services.set(serviceName(TWO), ONE);
    dataplane.hasTable = false;
    const { repaired } = keeper.reconcile(wanted(TWO, OTHER), true);
    expect(repaired).to.deep.equal(["table", "service tcp 11.0.0.1:80", "service tcp 11.0.0.1:81"]);
    expect(dataplane.content()).to.have.length(2);
    expect(metrics.repairs).to.equal(3);
  });

  it("calls nothing a repair that it finds at its start, nor what is new in the table", () => {
    const { dataplane, keeper } = bench();
    dataplane.services.set(serviceName(OTHER), OTHER);
    expect(keeper.reconcile(wanted(ONE), true).repaired).to.deep.equal([]);
    expect(keeper.reconcile(wanted(TWO), true).repaired).to.deep.equal([]);
  });

  it("tells what the kernel refuses, and tries it again with the next pass", () => {
    const { dataplane, keeper, metrics } = bench();
    keeper.reconcile(wanted(ONE), true);
    dataplane.refuses.add("tcp 11.0.0.1:81");
    const refused = keeper.change([...change(undefined, OTHER), ...change(ONE, TWO)], true);
    expect(refused.map((each) => each.service)).to.deep.equal(["tcp 11.0.0.1:81"]);
    expect(refusalError(refused)?.message).to.equal("cannot set up tcp 11.0.0.1:81: cannot put tcp 11.0.0.1:81: no");
    expect([...keeper.refusals().keys()]).to.deep.equal(["tcp 11.0.0.1:81"]);
    expect([metrics.refusals, metrics.pending]).to.deep.equal([1, 1]);
    expect(keeper.reconcile(wanted(TWO, OTHER), true).refused).to.have.length(1);
    dataplane.refuses.clear();
    expect(keeper.reconcile(wanted(TWO, OTHER), true)).to.deep.equal({ repaired: [], refused: [] });
    expect([dataplane.content().length, keeper.refusals().size, metrics.pending]).to.deep.equal([2, 0, 0]);
  });

  it("deletes before it makes, so that what is freed can be used", () => {
    const { dataplane, keeper } = bench();
    keeper.reconcile(wanted(ONE), true);
    keeper.change([...change(undefined, OTHER), ...change(ONE, undefined)], true);
    expect(dataplane.log.slice(-2)).to.deep.equal(["delete tcp 11.0.0.1:80", "put tcp 11.0.0.1:81"]);
  });
});
