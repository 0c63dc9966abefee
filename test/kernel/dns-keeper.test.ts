import { dnsKeeperSuite } from "../support/dns-keeper-suite.ts";
import { needsRoot } from "../support/needs-root.ts";
import { openRealFixture } from "./fixture.ts";

describe("the DNS server's keeper on this machine's kernel", function () {
  this.timeout(30_000);
  before(needsRoot);
  dnsKeeperSuite(openRealFixture);
});
