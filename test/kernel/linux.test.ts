import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { openFixture } from "./fixture.ts";
import { kernelSuite } from "./suite.ts";

/** The shell opens a socket by itself, inside the namespace in which it is born. */
function sendUdp(kernel: Kernel, port: number): void {
  const sent = kernel.enter(() => Bun.spawnSync(["bash", "-c", `echo hello > /dev/udp/127.0.0.1/${port}`]));
  if (!sent.success) throw new Error(`no datagram could be sent: ${sent.stderr}`);
}

describe("the kernel of this machine", function () {
  this.timeout(20_000);
  before(function () {
    if (process.getuid?.() !== 0) {
      console.log("      skipped: making network namespaces needs root");
      this.skip();
    }
  });

  kernelSuite(() => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-kernel-"));
    const machine = openLinux();
    const fixture = openFixture(machine, folder, sendUdp);
    return {
      ...fixture,
      close: () => {
        fixture.close();
        machine.close();
        rmSync(folder, { recursive: true });
      },
    };
  });
});
