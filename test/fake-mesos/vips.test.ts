import { expect } from "chai";
import { changesFromGossip } from "../../facts/gossiped.ts";
import { publishingSink } from "../../facts/publish-source.ts";
import { Publisher } from "../../facts/publisher.ts";
import { listedMasters } from "../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../facts/sources/mesos-master.ts";
import { FactView } from "../../facts/view.ts";
import { firstAddress, type VipPools } from "../../l4lb/address.ts";
import { backendName, type Service, serviceName } from "../../l4lb/service.ts";
import { VipTable } from "../../l4lb/table.ts";
import { formatIp, parseIp } from "../../lib/address.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { describeWithFixtures, fixture, fixtureNames, fixtureText } from "./fixtures.ts";
import { recordedStream, replayingMaster, settled } from "./replay.ts";

const POOLS: VipPools = {
  4: { min: parseIp("11.0.0.0"), max: parseIp("11.255.255.255") },
  6: { min: parseIp("fd01:c::"), max: parseIp("fd01:c::ffff:ffff:ffff:ffff") },
};

/** From the bytes of a master to the table of virtual IPs of a node with these addresses, as the agent does it.
 *  `onTable` is told of every state of the table. */
async function tableFrom(
  bytes: Uint8Array,
  addresses: readonly string[],
  onTable: (services: string[]) => void = () => {},
  piece = bytes.length,
): Promise<string[]> {
  const clock = fakeClock();
  const view = new FactView();
  const refuse = (error: Error): never => {
    throw error;
  };
  const write = (values: Parameters<typeof changesFromGossip>[1]) =>
    view.apply(changesFromGossip("m1", values, refuse));
  const publisher = new Publisher({ owner: "m1", now: () => clock.now(), write });
  const table = new VipTable({ node: "n1", addresses, pools: POOLS, drainMs: 1e9, now: () => clock.now() });
  table.begin(view.snapshot());
  view.subscribe((delta) => {
    const { services } = table.change(delta);
    if (services.size > 0) onTable(textOf(table));
  });
  const source = new MesosMasterSource({
    caller: { http: replayingMaster([{ bytes, hangs: true, piece }]), clock },
    leader: listedMasters(["http://master.example:5050"]),
    resolve: async () => [],
    random: () => 0,
  });
  source.start(publishingSink(publisher, refuse));
  for (let turn = 0; turn < (piece === bytes.length ? 50 : 20_000); turn++) await settled();
  await source.stop();
  expect([...table.problems()]).to.deep.equal([]);
  return textOf(table);
}

function textOf({ rows }: VipTable): string[] {
  return [...rows].map(({ service }) => lineOf(service)).sort();
}

function lineOf(service: Service): string {
  return `${serviceName(service)} → ${service.backends.map((each) => `${backendName(each)}*${each.weight}`).join(" ")}`;
}

interface ExpectedTask {
  readonly framework: string;
  readonly agent_ip: string;
  readonly task_ip: readonly string[];
  readonly state: string;
  readonly healthy: boolean | null;
  readonly ports: readonly { port?: number; host_port?: number; protocol: string; vip?: string[] }[];
}

/** The rules of the reference (dcos_l4lb_mesos_poller), written down a second time: one backend at the agent for a
 *  mapped port, one at each task address otherwise; weight 1 unless unhealthy or killing, and then none for
 *  datagrams. */
function byReference(tasks: Readonly<Record<string, ExpectedTask>>): string[] {
  const counting = Object.values(tasks).filter(({ state }) => state === "running" || state === "killing");
  const pairs = counting.flatMap((task) => task.ports.flatMap((port) => pairsOf(task, port)));
  const services = new Map<string, Set<string>>();
  for (const [service, backend] of pairs) services.set(service, (services.get(service) ?? new Set()).add(backend));
  return [...services].map(([service, backends]) => `${service} → ${[...backends].join(" ")}`).sort();
}

function pairsOf(task: ExpectedTask, { port, host_port, protocol, vip = [] }: ExpectedTask["ports"][number]) {
  const weight = task.state === "running" && task.healthy !== false ? 1 : 0;
  if (weight === 0 && protocol === "udp") return [];
  const addresses = host_port === undefined ? task.task_ip : [task.agent_ip];
  return vip.flatMap((label) => {
    const [, left = "", number] = /^(.*):(\d+)$/.exec(label) ?? [];
    return addresses.map((address): [string, string] => {
      const service = `${protocol} ${bracketed(addressOf(`${left.replace("/", "")}.${task.framework}`, address))}:${number}`;
      return [service, `${bracketed(address)}:${host_port ?? port}*${weight}`];
    });
  });
}

/** Where a name is, in the family of a backend. */
function addressOf(name: string, backend: string): string {
  const pool = POOLS[backend.includes(":") ? 6 : 4];
  return pool === undefined ? "none" : formatIp(firstAddress(name, pool));
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

describeWithFixtures("virtual IPs from captured Mesos streams", () => {
  for (const name of fixtureNames("operator-api", ".json")) {
    it(`are those that the reference has for ${name}`, async () => {
      const bytes = fixture(`operator-api/${name}`);
      const isState = new TextDecoder().decode(bytes.subarray(0, 30)).includes("GET_STATE");
      const { tasks } = JSON.parse(fixtureText(`operator-api/expected/${name.replace(".json", ".expected.json")}`));
      const stream = isState ? asSubscribed(bytes) : recordedStream(bytes, "lines");
      expect(await tableFrom(stream, [])).to.deep.equal(byReference(tasks));
    });
  }

  it("follow a task through its life: none, its container and its node's port, none", async () => {
    const bytes = fixture("mesos-live/streams/70-clean-single-task-lifecycle.recordio");
    const seen: string[][] = [];
    await tableFrom(bytes, [], (services) => seen.push(services), 64);
    const [running] = seen;
    expect(running?.map((line) => line.replace(/11[\d.]+/, "11.x"))).to.deep.equal([
      "tcp 11.x:80 → 9.0.1.2:8080*1",
      "tcp 11.x:8000 → 127.0.0.1:31500*1",
    ]);
    expect(seen.at(-1)).to.deep.equal([]);
  });
});

/** The recorded GET_STATE as the first event of a stream. */
function asSubscribed(state: Uint8Array): Uint8Array {
  const { get_state } = JSON.parse(new TextDecoder().decode(state));
  const subscribed = { type: "SUBSCRIBED", subscribed: { get_state, heartbeat_interval_seconds: 15 } };
  return recordedStream(new TextEncoder().encode(JSON.stringify(subscribed)), "lines");
}
