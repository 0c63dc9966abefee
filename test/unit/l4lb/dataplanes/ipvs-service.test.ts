import { expect } from "chai";
import fc from "fast-check";
import { openFake } from "../../../../kernel/fake.ts";
import { ipvsKey, readService, serviceKey, stepsTo } from "../../../../l4lb/dataplanes/ipvs-service.ts";
import { serviceName } from "../../../../l4lb/service.ts";
import { services } from "../../../support/vip-services.ts";

describe("steps between two states of a service", () => {
  const anyService = services.filter((list) => list.length > 0).map((list) => list[0] ?? expect.fail());

  it("lead from any state to any other, one step for each backend that differs", () => {
    fc.assert(
      fc.property(anyService, anyService, fc.double({ min: 0, max: 0.999 }), (first, second, chance) => {
        const kernel = openFake();
        kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
        const { ipvs } = kernel;
        const target = { ...second, protocol: first.protocol, ip: first.ip, port: first.port };
        const backends = second.ip.family === first.ip.family ? second.backends : [];
        const wanted = { ...target, backends };
        const read = () => {
          const [state] = ipvs.services();
          const key = state && serviceKey(state);
          return state && key && readService(key, state, ipvs.destinations(state));
        };
        for (const goal of [first, wanted]) {
          const steps = stepsTo(goal, read(), () => chance);
          const refused = ipvs.attempt(steps).filter((error) => error !== undefined);
          expect(refused).to.deep.equal([]);
          expect(read()).to.deep.equal(goal);
          expect(stepsTo(goal, read(), () => chance)).to.deep.equal([]);
        }
      }),
    );
  });

  it("a key survives the way to the kernel and back", () => {
    fc.assert(
      fc.property(anyService, (service) => {
        const back = serviceKey(ipvsKey(service));
        expect(back && serviceName(back)).to.equal(serviceName(service));
      }),
    );
    expect(serviceKey({ family: 4, mark: 7 })).to.equal(undefined);
  });
});
