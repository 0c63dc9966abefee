import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { needsRoot } from "../support/needs-root.ts";
import { openFixture } from "./fixture.ts";
import { address, bridge } from "./operations.ts";
import { kernelSuite } from "./suite.ts";

/** The shell opens a socket by itself, inside the namespace in which it is born. */
function sendUdp(kernel: Kernel, port: number): void {
  const sent = kernel.enter(() => Bun.spawnSync(["bash", "-c", `echo hello > /dev/udp/127.0.0.1/${port}`]));
  if (!sent.success) throw new Error(`no datagram could be sent: ${sent.stderr}`);
}

describe("the kernel of this machine", function () {
  this.timeout(20_000);
  before(needsRoot);

  const open = () => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-kernel-"));
    const machine = openLinux();
    const fixture = openFixture(machine, folder, sendUdp);
    return {
      ...fixture,
      folder,
      close: () => {
        fixture.close();
        machine.close();
        rmSync(folder, { recursive: true });
      },
    };
  };

  kernelSuite(open);

  it("a named pipe at a namespace's path is no namespace, and nobody waits for its writer", () => {
    const { machine, folder, close } = open();
    try {
      const path = join(folder, "pipe");
      expect(Bun.spawnSync(["mkfifo", path]).exitCode).to.equal(0);
      expect(machine.openNetns(path)).to.equal(undefined);
    } finally {
      close();
    }
  });

  it("a list that changes while it is read is read again until it is whole", async () => {
    const { kernel, close } = open();
    const many = Array.from({ length: 1000 }, (_, index) =>
      address("add", "br0", `10.${index >> 8}.${index & 255}.1/24`),
    );
    const script = "while :; do ip address add 192.0.2.1/24 dev br0; ip address delete 192.0.2.1/24 dev br0; done";
    const child = kernel.enter(() => Bun.spawn(["bash", "-c", script], { stdio: ["ignore", "ignore", "ignore"] }));
    try {
      kernel.apply([bridge("br0"), ...many]);
      // About every fourth reading is interrupted here. Only listing all links' addresses lets the kernel notice.
      for (let reading = 0; reading < 100; reading++) {
        const found = kernel.addresses().filter(({ address: { ip } }) => ip.family === 4 && ip.value >> 24n === 10n);
        expect(found).to.have.lengthOf(many.length);
      }
    } finally {
      child.kill();
      await child.exited;
      close();
    }
  });
});
