import { expect } from "chai";
import fc from "fast-check";
import { planServices } from "../../../l4lb/plan.ts";
import { compareBackends, type Scheduler, type Service, serviceName } from "../../../l4lb/service.ts";
import { parseIp } from "../../../lib/address.ts";

const service = fc
  .record({
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    ip: fc.constantFrom("11.0.0.1", "11.0.0.2", "fd01:c::1").map(parseIp),
    port: fc.constantFrom(80, 443),
    scheduler: fc.constantFrom<Scheduler>("wlc", "rr"),
    affinity: fc.constantFrom(0, 300),
    backends: fc.uniqueArray(
      fc.record({
        ip: fc.constantFrom("9.0.0.1", "9.0.0.2", "9.0.0.10").map(parseIp),
        port: fc.constantFrom(8080, 8081),
        weight: fc.constantFrom(0, 1),
      }),
      { selector: ({ ip, port }) => `${ip.value} ${port}` },
    ),
  })
  .map((made): Service => ({ ...made, backends: made.backends.toSorted(compareBackends) }));
const services = fc.uniqueArray(service, { selector: serviceName, maxLength: 8 });

/** What a kernel has after the changes, whatever it had before. */
function after(have: readonly Service[], want: readonly Service[]): Service[] {
  const kernel = new Map(have.map((each) => [serviceName(each), each]));
  for (const change of planServices(have, want)) {
    if (change.do === "delete") kernel.delete(serviceName(change.key));
    else kernel.set(serviceName(change.service), change.service);
  }
  return [...kernel.values()];
}

const sorted = (list: readonly Service[]): Service[] =>
  list.toSorted((a, b) => serviceName(a).localeCompare(serviceName(b)));

describe("the plan of services", () => {
  it("leads from anything to anything", () => {
    fc.assert(
      fc.property(services, services, (have, want) => {
        expect(sorted(after(have, want))).to.deep.equal(sorted(want));
      }),
    );
  });

  it("is empty when all is as it should be, in whatever order", () => {
    fc.assert(
      fc.property(services, (list) => {
        expect(planServices(list.toReversed(), list)).to.deep.equal([]);
      }),
    );
  });

  it("removes before it adds, and says what was there", () => {
    fc.assert(
      fc.property(services, services, (have, want) => {
        const plan = planServices(have, want);
        const firstPut = plan.findIndex((change) => change.do === "put");
        if (firstPut >= 0) expect(plan.slice(firstPut).every((change) => change.do === "put")).to.equal(true);
        const known = new Map(have.map((each) => [serviceName(each), each]));
        for (const change of plan) {
          const name = serviceName(change.do === "put" ? change.service : change.key);
          expect(change.before).to.equal(known.get(name));
        }
      }),
    );
  });
});
