import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLinux } from "../../kernel/linux.ts";
import { needsRoot } from "../support/needs-root.ts";
import { overlaySuite } from "../support/overlay-suite.ts";
import { openFixture } from "./fixture.ts";

describe("the overlay's keeper on this machine's kernel", function () {
  this.timeout(30_000);
  before(needsRoot);

  overlaySuite(() => {
    const folder = mkdtempSync(join(tmpdir(), "dcos-net-overlay-"));
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
