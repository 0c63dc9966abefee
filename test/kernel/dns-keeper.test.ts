import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLinux } from "../../kernel/linux.ts";
import { dnsKeeperSuite } from "../support/dns-keeper-suite.ts";
import { openFixture } from "./fixture.ts";

describe("the DNS server's keeper on this machine's kernel", function () {
  this.timeout(30_000);
  before(function () {
    if (process.getuid?.() !== 0) {
      console.log("      skipped: making network namespaces needs root");
      this.skip();
    }
  });

  dnsKeeperSuite(() => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-dns-keeper-"));
    const machine = openLinux();
    const fixture = openFixture(machine, folder, () => {});
    return {
      kernel: fixture.kernel,
      close: () => {
        fixture.close();
        machine.close();
        rmSync(folder, { recursive: true });
      },
    };
  });
});
