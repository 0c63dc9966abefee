import type { Fixture } from "./fixture.ts";
import { addressCases } from "./suite-address.ts";
import { attemptCases } from "./suite-attempt.ts";
import { firewallCases } from "./suite-firewall.ts";
import { linkCases } from "./suite-link.ts";
import { namespaceCases } from "./suite-namespace.ts";
import { neighborCases } from "./suite-neighbor.ts";
import { rawElementCases } from "./suite-raw-elements.ts";
import { routeCases } from "./suite-route.ts";

/** What every kernel must do, Linux and the one in memory: the same cases on both. `open` gives a fresh empty
 *  namespace. */
export function kernelSuite(open: () => Fixture): void {
  let fixture: Fixture | undefined;
  const current = (): Fixture => {
    if (fixture === undefined) throw new Error("no namespace outside a test");
    return fixture;
  };
  beforeEach(() => {
    fixture = open();
  });
  afterEach(() => {
    fixture?.close();
    fixture = undefined;
  });
  describe("links", () => linkCases(current));
  describe("addresses", () => addressCases(current));
  describe("routes and rules", () => routeCases(current));
  describe("neighbours and forwarding entries", () => neighborCases(current));
  describe("batches", () => attemptCases(current));
  describe("namespaces and settings", () => namespaceCases(current));
  describe("nftables and connection tracking", () => firewallCases(current));
  describe("elements of sets in their own form", () => rawElementCases(current));
}
