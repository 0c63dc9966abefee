import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type FakeKernel, openFake } from "../../kernel/fake.ts";
import type { FailurePoint } from "../../kernel/fake-failure.ts";
import { openLinux } from "../../kernel/linux.ts";
import { needsRoot } from "../support/needs-root.ts";
import { type Fixture, openFixture } from "./fixture.ts";
import { BridgeBench, bridgeSuite } from "./suite-bridge.ts";

function fakeFixture(machine: FakeKernel): Fixture {
  return openFixture(machine, "/run/netns", () => undefined);
}

function realFixture(): Fixture {
  const folder = mkdtempSync(join(tmpdir(), "dcos-net-bridge-"));
  const machine = openLinux();
  const fixture = openFixture(machine, folder, () => undefined);
  const close = () => {
    fixture.close();
    machine.close();
    rmSync(folder, { recursive: true });
  };
  return { ...fixture, close };
}

describe("the bridge plugin on a kernel in memory", () => {
  bridgeSuite(() => fakeFixture(openFake()));

  /** Every kind of change that an ADD makes. */
  const POINTS: readonly FailurePoint[] = [
    "link.add",
    "link.set",
    "port.set",
    "address.add",
    "route.append",
    "sysctl",
    "nftables",
  ];

  for (const point of POINTS) {
    it(`undoes a half-done ADD when ${point} fails`, () => {
      const machine = openFake();
      const bench = new BridgeBench(fakeFixture(machine));
      try {
        const ports = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
        const config = bench.config({ hairpinMode: true, ipMasq: true, runtimeConfig: { portMappings: ports } });
        for (let passing = 0; ; passing++) {
          machine.failNext("ENOMEM", point, passing);
          const { exitCode } = bench.call("ADD", config);
          if (machine.forgetFailures() > 0) {
            expect(exitCode).to.equal(0);
            expect(passing, "changes of this kind").to.be.greaterThan(0);
            break;
          }
          expect(exitCode).to.equal(1);
          bench.expectNothingLeft();
        }
        bench.succeed("DEL", config);
        bench.expectNothingLeft();
      } finally {
        bench.close();
      }
    });
  }
});

describe("the bridge plugin on the kernel of this machine", function () {
  this.timeout(20_000);
  before(needsRoot);
  bridgeSuite(realFixture);
});
