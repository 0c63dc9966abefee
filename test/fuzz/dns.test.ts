import { expect } from "chai";
import fc from "fast-check";
import { Responder } from "../../dns/fast/responder.ts";
import { SharedTable } from "../../dns/fast/table.ts";
import { aliases, recordsOf } from "../../dns/naming.ts";
import { respond } from "../../dns/respond.ts";
import { decoded, localZones, queryBytes, taskWith } from "../support/dns.ts";

const SECONDS = Number(process.env["FUZZ_SECONDS"] ?? 2);
const DCOS = "dcos.thisdcos.directory";

/** A good query with some bytes changed, cut or added. */
const mutated = fc
  .tuple(
    fc.constantFrom(`myapp-mygroup.marathon.autoip.${DCOS}`, "ready.spartan", `no.${DCOS}`, "example.org"),
    fc.constantFrom("A", "AAAA", "SRV", "ANY", "AXFR"),
    fc.option(fc.constantFrom(512, 1232, 4096), { nil: undefined }),
    fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    fc.integer({ min: -40, max: 40 }),
  )
  .map(([name, type, edns, changes, growth]) => {
    const good = queryBytes(name, type, 77, edns);
    const bytes = new Uint8Array(Math.max(0, good.length + growth));
    bytes.set(good.subarray(0, bytes.length));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });

describe("the DNS server, given garbage,", () => {
  const zones = localZones();
  zones.put("fixed", recordsOf({ kind: "fixed" }));
  zones.put("task", recordsOf({ kind: "task", task: taskWith() }));
  const table = new SharedTable(1 << 20);
  for (const name of zones.settle()) table.put(name, zones.get(name));
  const responder = new Responder(table.memory, false);
  const authority = { zones, aliases: aliases(), recursion: false };

  it("answers what can be answered in messages that others can read, and the workers no differently", function () {
    this.timeout((SECONDS + 60) * 1000);
    const output = new Uint8Array(2048);
    const property = fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 100 })), (message) => {
      const { ...outcome } = respond(message, "udp", authority);
      const reply = outcome.outcome === "reply" ? outcome.message : undefined;
      if (reply !== undefined) {
        expect(reply.subarray(0, 2)).to.deep.equal(message.subarray(0, 2));
        expect(reply.length <= 1232).to.equal(true);
        decoded(reply);
      }
      const length = responder.respond(message, 0, message.length, output, 0);
      if (length > 0) expect(output.slice(0, length)).to.deep.equal(Uint8Array.from(reply ?? []));
    });
    fc.assert(property, { numRuns: 1e9, interruptAfterTimeLimit: SECONDS * 1000 });
  });
});
