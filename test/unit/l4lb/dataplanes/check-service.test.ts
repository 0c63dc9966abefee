import { expect } from "chai";
import { BACKENDS_MAX, checkService } from "../../../../l4lb/dataplanes/check-service.ts";
import type { Service } from "../../../../l4lb/service.ts";
import { parseIp } from "../../../../lib/address.ts";
import { service } from "../../../support/vip-services.ts";

describe("a service that a data plane is given", () => {
  it("may be any that can be", () => {
    checkService(service("tcp 11.0.0.1:1", []));
    checkService(
      service(
        "udp [fd11::1]:65535",
        [
          ["fd88::1", 0],
          ["fd88::2", 65_535],
        ],
        { affinity: 86_400 },
      ),
    );
  });

  it("is refused with what is wrong", () => {
    const good = service("tcp 11.0.0.1:80", ["10.88.0.11"]);
    const [backend] = good.backends;
    if (backend === undefined) throw new Error("no backend");
    const many = Array.from({ length: BACKENDS_MAX + 1 }, () => backend);
    const other = { ...backend, port: backend.port - 1 };
    const wrong: readonly (readonly [Partial<Service>, RegExp])[] = [
      [{ port: 0 }, /0 is no port/],
      [{ port: 65_536 }, /65536 is no port/],
      [{ affinity: -1 }, /affinity of -1 s/],
      [{ affinity: 86_401 }, /affinity of 86401 s/],
      [{ backends: many }, /65536 backends/],
      [{ backends: [backend, { ...backend, weight: 3 }] }, /comes twice/],
      [{ backends: [backend, other] }, /10.88.0.11:8079 is not in ascending order/],
      [{ backends: [{ ...backend, ip: parseIp("fd88::1") }] }, /\[fd88::1\]:8080 is of another family/],
      [{ backends: [{ ...backend, ip: good.ip, port: 80 }] }, /is the service itself/],
      [{ backends: [{ ...backend, port: 0 }] }, /no valid port/],
      [{ backends: [{ ...backend, weight: 65_536 }] }, /weight 65536/],
      [{ backends: [{ ...backend, weight: 0.5 }] }, /weight 0.5/],
    ];
    for (const [change, said] of wrong) expect(() => checkService({ ...good, ...change })).to.throw(said);
  });
});
