import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { trySystemCall } from "../../kernel/ffi.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { linkDelete } from "../../kernel/link.ts";
import { openLinux } from "../../kernel/linux.ts";
import { NETLINK_ROUTE, Netlink } from "../../kernel/netlink.ts";
import { hasErrno } from "../../lib/error.ts";
import { needsRoot } from "../support/needs-root.ts";
import { openFixture } from "./fixture.ts";
import { address, bridge } from "./operations.ts";
import { kernelSuite } from "./suite.ts";

/** asm-generic/socket.h. */
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

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

  it("when answers of a batch are lost it has failed, and the next one is answered", () => {
    const { kernel, close } = open();
    const socket = kernel.enter(() => Netlink.open(NETLINK_ROUTE));
    try {
      // The least that the kernel gives: a few refusals fill it.
      const descriptor: unknown = Reflect.get(socket, "descriptor");
      if (typeof descriptor !== "number") throw new Error("a netlink socket has a descriptor");
      trySystemCall("setsockopt", descriptor, SOL_SOCKET, SO_RCVBUF, new Uint8Array(4), 4);
      const requests = Array.from({ length: 600 }, () => ({ message: linkDelete("none"), tried: () => "try" }));
      const outcome = socket.transact(requests);
      expect(outcome.slice(0, 512).every((error) => hasErrno(error, "ENOBUFS"))).to.equal(true);
      expect(outcome.every((error) => error !== undefined)).to.equal(true);
      expect(hasErrno(socket.transact(requests.slice(0, 1))[0], "ENODEV")).to.equal(true);
    } finally {
      socket.close();
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
