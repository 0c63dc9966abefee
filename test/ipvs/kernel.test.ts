import { openLinux } from "../../kernel/linux.ts";
import { type Fixture, openFixture } from "../kernel/fixture.ts";
import { ipvsCases } from "../kernel/suite-ipvs.ts";

describe("IPVS of Linux", function () {
  this.timeout(20_000);
  let fixture: Fixture | undefined;

  beforeEach(() => {
    const machine = openLinux();
    fixture = openFixture(machine, "/run/netns", () => undefined);
  });
  afterEach(() => fixture?.close());

  ipvsCases(() => {
    if (fixture === undefined) throw new Error("no namespace outside a test");
    return fixture;
  });
});
