import { needsRoot } from "../support/needs-root.ts";
import { overlaySuite } from "../support/overlay-suite.ts";
import { openRealFixture } from "./fixture.ts";

describe("the overlay's keeper on this machine's kernel", function () {
  this.timeout(30_000);
  before(needsRoot);
  overlaySuite(openRealFixture);
});
