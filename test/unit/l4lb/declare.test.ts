import { expect } from "chai";
import type { Task, TaskPort } from "../../../facts/task.ts";
import { declare } from "../../../l4lb/declare.ts";
import { backendName } from "../../../l4lb/service.ts";
import { sampleTask } from "../../support/facts.ts";

const port = (said: Partial<TaskPort>): TaskPort => ({ protocol: "tcp", container: 80, vips: [], ...said });

function declared(task: Partial<Task>, families: readonly (4 | 6)[] = [4, 6]) {
  const { memberships, problems } = declare(sampleTask(task), false, new Set(families));
  const vips = memberships.map(({ id, places }) => `${id} → ${places.map(backendName).join(" ")}`);
  return { vips, problems };
}

describe("what a task declares", () => {
  it("is every virtual IP of its ports, tcp and udp apart", () => {
    const ports = [
      port({ vips: ["/app:80", "11.0.0.1:81"] }),
      port({ protocol: "udp", container: 53, vips: ["/app:80"] }),
    ];
    expect(declared({ ports })).to.deep.equal({
      vips: ["tcp app.marathon:80 → 9.0.1.6:80", "tcp ip 11.0.0.1:81 → 9.0.1.6:80", "udp app.marathon:80 → 9.0.1.6:53"],
      problems: [],
    });
  });

  it("has both ports behind a virtual IP that two ports have", () => {
    const ports = [port({ vips: ["/app:80"] }), port({ container: 81, vips: ["app:80"] })];
    expect(declared({ ports }).vips).to.deep.equal(["tcp app.marathon:80 → 9.0.1.6:80 9.0.1.6:81"]);
  });

  it("names a bad label and keeps the rest", () => {
    const ports = [
      port({ vips: ["/app", "/good:80"], balance: { weight: "many" } }),
      port({ protocol: "sctp", vips: ["/s:1"] }),
    ];
    expect(declared({ ports })).to.deep.equal({
      vips: ["tcp good.marathon:80 → 9.0.1.6:80"],
      problems: [
        'label L4LB_WEIGHT: "many" is no whole number from 0 to 65535',
        'VIP label "/app" is not <name or address>:<port>, such as /app:80',
        "VIP labels of port 80/sctp: virtual IPs know tcp and udp only",
      ],
    });
  });

  it("has only backends of the family of an address, and says when there are none", () => {
    const ports = [port({ vips: ["[fd01:c::1]:80"] })];
    expect(declared({ ports })).to.deep.equal({
      vips: ["tcp ip [fd01:c::1]:80 → "],
      problems: [
        "tcp ip [fd01:c::1]:80 gets no backend from this task: it has no address of IPv6, which the virtual IP is",
      ],
    });
    const addresses = [{ address: "9.0.1.6" }, { address: "fd01:b::6" }];
    expect(declared({ ports, addresses }).vips).to.deep.equal(["tcp ip [fd01:c::1]:80 → [fd01:b::6]:80"]);
  });

  it("has for a name backends of the families in which names get addresses", () => {
    const addresses = [{ address: "9.0.1.6" }, { address: "fd01:b::6" }];
    const ports = [port({ vips: ["/app:80"] })];
    expect(declared({ ports, addresses }).vips).to.deep.equal(["tcp app.marathon:80 → 9.0.1.6:80 [fd01:b::6]:80"]);
    expect(declared({ ports, addresses }, [4]).vips).to.deep.equal(["tcp app.marathon:80 → 9.0.1.6:80"]);
  });
});
