import { expect } from "chai";
import fc from "fast-check";
import { labelModeOf, parseHostPort, readMesosDnsConfig } from "../../../../dns/mesos/config.ts";
import { mesosRecords } from "../../../../dns/mesos/records.ts";
import { readState } from "../../../../dns/mesos/state.ts";
import { servedRecords } from "../../../../dns/mesos/zone.ts";
import { isSendable } from "../../../../dns/record.ts";
import { type ModelState, modelRecords, stateJson } from "../../../support/mesos-dns-model.ts";

const LEADER = "10.0.0.9";
const config = readMesosDnsConfig(`{"masters": ["${LEADER}:5050"], "listener": "127.0.0.1"}`, "config.json", 1);

/** Names as people and frameworks write them: spaces, letters beyond ASCII, dots, slashes, dashes, long ones. */
const name = fc.oneof(
  fc
    .array(fc.constantFrom("a", "b", "Web", "7", "-", "--", ".", "_", "/", " ", "é", "日本", "$", "%"), {
      minLength: 1,
      maxLength: 8,
    })
    .map((parts) => parts.join("")),
  fc
    .tuple(fc.integer({ min: 55, max: 70 }), fc.constantFrom("", "-", "-_b", "--cc.d"))
    .map(([n, end]) => "x".repeat(n) + end),
  fc.constantFrom("web", "web", "nginx.prod", "/group/app"),
);
const address = fc.constantFrom("9.0.0.1", "9.0.0.2", "fd01:b::5");
const port = fc.record({
  number: fc.integer({ min: 0, max: 65_535 }),
  protocol: fc.constantFrom("tcp" as const, "udp" as const, "" as const),
  name: fc.oneof(fc.constant(""), name),
});
const task = fc.record({
  id: fc.oneof(name, fc.constantFrom("t.1", "t.2")),
  name,
  slave_id: fc.constantFrom("20150401-S1", "20150401-S12", "gone-S9"),
  running: fc.boolean(),
  ports: fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 3 }),
  addresses: fc.uniqueArray(address, { maxLength: 3 }),
  discovery: fc.option(fc.record({ name: fc.oneof(fc.constant(""), name), ports: fc.array(port, { maxLength: 3 }) }), {
    nil: undefined,
  }),
});
const state: fc.Arbitrary<ModelState> = fc.record({
  leader: fc.constant(LEADER),
  slaves: fc.constant([
    { id: "20150401-S1", address: "10.1.1.1" },
    { id: "20150401-S12", address: "10.1.1.2" },
  ]),
  frameworks: fc.array(
    fc.record({ name, address: fc.constantFrom("10.2.0.1", "10.2.0.2"), tasks: fc.array(task, { maxLength: 5 }) }),
    { maxLength: 3 },
  ),
});

describe("the records of Mesos-DNS for generated states", function () {
  this.timeout(30_000);

  it("are those that a table of its names gives, record for record, and what is served can go on the wire", () => {
    fc.assert(
      fc.property(state, (value) => {
        const read = readState(stateJson(value), (what) => expect.fail(what));
        const { records } = mesosRecords(read, {
          domain: "mesos",
          labels: labelModeOf(config),
          sources: config.IPSources,
          sourceRule: "first",
          masters: (config.Masters ?? []).flatMap((master) => parseHostPort(master) ?? []),
          server: config.SOAMname,
          serverAddresses: [],
          resolve: (host) => [host],
        });
        const made = records.map(({ name: owner, rtype, host }) => `${rtype} ${owner} ${host}`);
        expect(new Set(made).size, "each once").to.equal(made.length);
        expect(made.sort()).to.deep.equal([...modelRecords(value)].sort());
        for (const record of servedRecords(records, config)) expect(record.name).to.equal(record.name.toLowerCase());
        const sendable = servedRecords(records, config).filter(isSendable);
        for (const { name: owner } of sendable)
          expect(owner.split(".").every((part) => part.length <= 63)).to.equal(true);
      }),
      { numRuns: 300 },
    );
  });
});
