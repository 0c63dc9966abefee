import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { MesosDnsApi } from "../../../../dns/mesos/api.ts";
import { labelModeOf, parseHostPort, readMesosDnsConfig } from "../../../../dns/mesos/config.ts";
import { mesosRecords, type SourceRule } from "../../../../dns/mesos/records.ts";
import { readState } from "../../../../dns/mesos/state.ts";
import { mesosZone, servedRecords } from "../../../../dns/mesos/zone.ts";
import { Zones } from "../../../../dns/zones.ts";
import { tryParseIp } from "../../../../lib/address.ts";

const FIXTURES = process.env["DCOS_NET_FIXTURES"];
const CONFIG = '{"masters":["127.0.0.1:5050"],"listener":"127.0.0.1"}';

function resolve(host: string): readonly string[] {
  if (host === "localhost") return ["127.0.0.1"];
  return tryParseIp(host) === undefined ? [] : [host];
}

function recordsFor(state: unknown, text = CONFIG, sourceRule: SourceRule = "first") {
  const config = readMesosDnsConfig(text, "config.json", 1);
  const made = mesosRecords(
    readState(state, () => {}),
    {
      domain: config.Domain,
      labels: labelModeOf(config),
      sources: config.IPSources,
      sourceRule,
      masters: (config.Masters ?? []).flatMap((master) => parseHostPort(master) ?? []),
      server: config.SOAMname,
      serverAddresses: ["127.0.0.1"],
      resolve,
    },
  );
  return { config, made };
}

interface Transfer {
  readonly Records: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

function lines({ Records }: Transfer): string[] {
  return Object.entries(Records)
    .flatMap(([type, names]) =>
      Object.entries(names).flatMap(([name, values]) => values.map((value) => `${type} ${name} ${value}`)),
    )
    .sort();
}

describe("the records of Mesos-DNS", () => {
  it("are those of the real one for its own example", function () {
    // Set to a folder of data that was recorded from the real program.
    if (FIXTURES === undefined) this.skip();
    const read = (name: string): string => readFileSync(join(FIXTURES, "mesos-dns", name), "utf8");
    // The answer was recorded with this leader in the state.
    const state = { ...(JSON.parse(read("fake.json")) as object), leader: "master@127.0.0.1:5050" };
    const { config, made } = recordsFor(state, read("config.json"));
    const api = new MesosDnsApi(() => ({ config, made, serial: 1, version: "1" }));
    const { body } = api.answer({ method: "GET", path: "/v1/axfr", accept: "" });
    const expected = lines(JSON.parse(read("axfr-of-fake.json")) as Transfer);
    expect(expected.length).to.equal(146);
    expect(lines(JSON.parse(body) as Transfer)).to.deep.equal(expected);
  });

  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 120 }), fc.constantFrom("a b", "x.y/z", "", "日本"));
  const junk = fc.oneof(text, fc.jsonValue());
  const address = fc.constantFrom("10.1.2.3", "fd01::1", "nonsense", "");
  const task = fc.record(
    {
      id: junk,
      name: junk,
      slave_id: fc.constantFrom("x-S1", "x-S2", "gone"),
      state: fc.constantFrom("TASK_RUNNING", "TASK_LOST"),
      resources: fc.record({ ports: fc.oneof(junk, fc.constantFrom("[80]", "[31000-31002, 5-5]", "[9-1]")) }),
      discovery: fc.oneof(
        junk,
        fc.record({
          name: junk,
          ports: fc.record({
            ports: fc.array(fc.record({ number: fc.oneof(fc.nat(70_000), junk), protocol: junk, name: junk })),
          }),
        }),
      ),
      statuses: fc.array(
        fc.record({
          state: fc.constant("TASK_RUNNING"),
          timestamp: fc.oneof(fc.double(), junk),
          container_status: fc.record({
            network_infos: fc.array(fc.record({ ip_addresses: fc.array(fc.record({ ip_address: address })) })),
          }),
        }),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: ["state", "slave_id"] },
  );
  const pid = fc.oneof(junk, fc.constantFrom("slave(1)@10.0.0.1:5051", "slave(1)@[fd00::1]:5051", "slave(1)@host:1"));
  const state = fc.record({
    leader: fc.constantFrom("master@10.0.0.9:5050", "master@some-host:5050"),
    slaves: fc.array(fc.record({ id: fc.constantFrom("x-S1", "x-S2"), pid }, { requiredKeys: ["id"] })),
    frameworks: fc.array(fc.record({ name: junk, pid, tasks: fc.array(task, { maxLength: 4 }) }), { maxLength: 3 }),
  });

  it("never break on a state, and what is served of them can go on the wire", () => {
    fc.assert(
      fc.property(state, (value) => {
        const { config, made } = recordsFor(value);
        const served = servedRecords(made.records, config);
        const zones = new Zones([mesosZone(config, 1)]);
        zones.put("mesos", served);
        for (const { name } of zones) expect(name).to.equal(name.toLowerCase());
        expect(zones.get("leader.mesos") === undefined).to.equal(value.leader.includes("some-host"));
      }),
    );
  });

  it("take addresses by either rule", () => {
    const statuses = [
      {
        state: "TASK_RUNNING",
        timestamp: 1,
        container_status: {
          network_infos: [{ ip_addresses: [{ ip_address: "9.0.0.1" }, { ip_address: "fd01::1" }] }],
        },
      },
    ];
    const value = {
      leader: "master@10.0.0.9:5050",
      slaves: [{ id: "x-S1", pid: "slave(1)@10.0.0.1:5051" }],
      frameworks: [{ name: "f", tasks: [{ id: "t", name: "t", slave_id: "x-S1", state: "TASK_RUNNING", statuses }] }],
    };
    const config = '{"masters":["10.0.0.9:5050"],"IPSources":["host","netinfo"]}';
    const of = (rule: SourceRule) =>
      recordsFor(value, config, rule).made.records.flatMap(({ name, host }) => (name === "t.f.mesos." ? host : []));
    expect(of("first")).to.deep.equal(["10.0.0.1"]);
    expect(of("together")).to.deep.equal(["10.0.0.1", "fd01::1"]);
  });

  it("number the masters in their order, and a leader that isn't listed last", () => {
    const { made } = recordsFor({ leader: "master@10.0.0.9:5050" }, '{"masters":["10.0.0.1:5050","10.0.0.2:5050"]}');
    const masters = made.records
      .filter(({ name }) => /^master\d/.test(name))
      .map(({ name, host }) => `${name} ${host}`);
    expect(masters).to.deep.equal(["master0.mesos. 10.0.0.1", "master1.mesos. 10.0.0.2", "master2.mesos. 10.0.0.9"]);
  });
});
