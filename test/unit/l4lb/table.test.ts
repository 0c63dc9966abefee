import { expect } from "chai";
import fc from "fast-check";
import type { Fact } from "../../../facts/fact.ts";
import type { Task, TaskPort } from "../../../facts/task.ts";
import { type FactChange, FactView } from "../../../facts/view.ts";
import type { VipPools } from "../../../l4lb/address.ts";
import { backendName, type Service, serviceName } from "../../../l4lb/service.ts";
import { type VipChanges, VipTable } from "../../../l4lb/table.ts";
import { parseIp } from "../../../lib/address.ts";
import { drainFact, nodeFact, noting, sampleTask, taskFact, vipFact } from "../../support/facts.ts";

const POOLS: VipPools = {
  4: { min: parseIp("11.0.0.0"), max: parseIp("11.0.0.254") },
  6: { min: parseIp("fd01:c::"), max: parseIp("fd01:c::ff") },
};
/** Where names are that nothing stands in the way of. */
const APP = "11.0.0.189";

const put = (fact: Fact): FactChange => ({ type: "held", owner: fact.owner, name: `${fact.kind}/${fact.key}`, fact });
const drop = ({ owner, kind, key }: Fact): FactChange => ({
  type: "held",
  owner,
  name: `${kind}/${key}`,
  fact: undefined,
});
const judge = (owner: string, liveness: "alive" | "unreachable" | "forgotten"): FactChange => ({
  type: "owner",
  owner,
  liveness,
});

/** A view and the table of node `n1`, which has 10.0.0.1. */
class Bench {
  readonly view = new FactView();
  readonly table: VipTable;
  now: number;
  last: VipChanges | undefined;

  constructor(before: readonly FactChange[] = [], now = 1000) {
    this.now = now;
    this.view.apply(before);
    this.table = tableOf(() => this.now);
    this.last = this.table.begin(this.view.snapshot());
    this.view.subscribe((delta) => {
      this.last = this.table.change(delta);
    });
  }

  say(...changes: readonly FactChange[]): this {
    this.last = undefined;
    this.view.apply(changes);
    return this;
  }

  services(): string[] {
    return [...this.table.rows].map(({ service }) => textOf(service)).sort();
  }

  problems(): string[] {
    return [...this.table.problems()];
  }
}

function tableOf(now: () => number): VipTable {
  return new VipTable({ node: "n1", addresses: ["10.0.0.1"], pools: POOLS, drainMs: 5000, now });
}

function textOf(service: Service): string {
  const { scheduler, affinity, backends } = service;
  const options = `${scheduler === "wlc" ? "" : ` ${scheduler}`}${affinity === 0 ? "" : ` ${affinity}s`}`;
  return `${serviceName(service)}${options} → ${backends.map((each) => `${backendName(each)}*${each.weight}`).join(" ")}`;
}

const port = (said: Partial<TaskPort>): TaskPort => ({ protocol: "tcp", container: 80, vips: ["/app:80"], ...said });
/** Task `id` of node `owner` at 9.0.0.<number>. */
function task(owner: string, number: number, said: Partial<Task> = {}): Fact {
  const addresses = [{ address: `9.0.0.${number}` }];
  const agent = { id: owner, addresses: [`10.0.0.${owner.slice(1)}`] };
  return taskFact(owner, sampleTask({ id: `app.${number}`, addresses, agent, ports: [port({})], ...said }));
}

/** Node `n<number>` with the address 10.0.0.<number>. */
function node(id: string): Fact {
  const fact = nodeFact(id, { agents: [id] });
  return { ...fact, body: { ...fact.body, addresses: [`10.0.0.${id.slice(1)}`] } };
}

describe("the table of virtual IPs", () => {
  it("has a service for each virtual IP, with the backends of all its tasks", () => {
    const bench = new Bench([put(task("n1", 1))]).say(put(task("n2", 2)));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*1 9.0.0.2:80*1`]);
    expect([...(bench.last?.services.keys() ?? [])]).to.deep.equal([`tcp ${APP}:80`]);
    bench.say(drop(task("n1", 1)), drop(task("n2", 2)));
    expect(bench.services()).to.deep.equal([]);
  });

  it("takes a mapped port by the container's address on its own node only", () => {
    const mapped = { mode: "bridge" as const, ports: [port({ host: 31_000 })] };
    const bench = new Bench([put(task("n1", 1, mapped)), put(task("n2", 2, mapped))]);
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*1 10.0.0.2:31000*1`]);
  });

  it("weighs by label, state and health, and has no backends of tasks that don't run", () => {
    const bench = new Bench([
      put(task("n1", 1, { ports: [port({ balance: { weight: "7" } })] })),
      put(task("n1", 2, { health: "unhealthy" })),
      put(task("n1", 3, { state: "killing" })),
      put(task("n1", 4, { state: "preparing" })),
      put(task("n1", 5, { state: "terminal" })),
      put(task("n1", 6, { health: "healthy" })),
    ]);
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*7 9.0.0.2:80*0 9.0.0.3:80*0 9.0.0.6:80*1`]);
  });

  it("sends no datagrams to what is drained", () => {
    const udp = { ports: [port({ protocol: "udp" })] };
    const bench = new Bench([put(task("n1", 1, udp)), put(task("n1", 2, { ...udp, state: "killing" }))]);
    expect(bench.services()).to.deep.equal([`udp ${APP}:80 → 9.0.0.1:80*1`]);
  });

  it("ends a drain when its time is over, counted from when it was seen to begin", () => {
    const bench = new Bench([put(task("n1", 1)), put(task("n1", 2))]).say(put(task("n1", 2, { state: "killing" })));
    bench.now += 4999;
    expect([bench.table.tick().services.size, bench.table.draining]).to.deep.equal([0, 1]);
    bench.now += 1;
    expect([...bench.table.tick().services.keys()]).to.deep.equal([`tcp ${APP}:80`]);
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*1`]);
    expect(bench.table.tick().services.size).to.equal(0);
  });

  it("counts a drain after a restart from when its node saw it", () => {
    const bench = new Bench([put(task("n1", 2, { state: "killing" }))], 5000);
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.2:80*0`]);
    bench.now += 1000;
    bench.table.tick();
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → `]);
  });

  it("drains what an operator asks for, a task or a node, until that is taken back", () => {
    const bench = new Bench([put(task("n1", 1)), put(task("n2", 2)), put(node("n2"))]);
    const whole = drainFact("n3", "node", "n2");
    const one = drainFact("n3", "task", "F-0000/app.1");
    bench.say(put(whole));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*1 9.0.0.2:80*0`]);
    bench.say(put(one), drop(whole));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*0 9.0.0.2:80*1`]);
    bench.say(drop(one));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.1:80*1 9.0.0.2:80*1`]);
  });

  it("loses the backends of a node that can't be reached, and keeps the last when there are no others", () => {
    const bench = new Bench([put(task("n2", 2)), put(task("n3", 3)), judge("n2", "unreachable")]);
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.3:80*1`]);
    bench.say(judge("n3", "unreachable"));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.2:80*1 9.0.0.3:80*1`]);
    expect([...bench.table.rows].map(({ lost }) => lost)).to.deep.equal([true]);
    bench.say(judge("n2", "alive"));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.2:80*1`]);
    bench.say(judge("n2", "forgotten"));
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 → 9.0.0.3:80*1`]);
    bench.say(judge("n3", "forgotten"));
    expect(bench.services()).to.deep.equal([]);
  });

  it("gives a name with backends of both families an address of each", () => {
    const addresses = [{ address: "9.0.0.1" }, { address: "fd01:b::1" }];
    const bench = new Bench([put(task("n1", 1, { addresses }))]);
    expect(bench.services()).to.have.length(2);
    expect(bench.services()[1]).to.match(/^tcp \[fd01:c::[0-9a-f]+\]:80 → \[fd01:b::1\]:80\*1$/);
  });

  it("moves all services of a name when its address changes", () => {
    const ports = [port({}), port({ container: 81, vips: ["/app:81"] }), port({ protocol: "udp" })];
    const bench = new Bench([put(task("n1", 1, { ports }))]);
    bench.say(put(vipFact("n2", "app.marathon", "11.0.0.7")));
    const changed = [
      "tcp 11.0.0.189:80",
      "tcp 11.0.0.189:81",
      "tcp 11.0.0.7:80",
      "tcp 11.0.0.7:81",
      "udp 11.0.0.189:80",
      "udp 11.0.0.7:80",
    ];
    expect([...(bench.last?.services.keys() ?? [])].sort()).to.deep.equal(changed);
    expect(bench.last?.names).to.deep.include({ name: "app.marathon", family: 4 });
    expect(bench.table.standing({ name: "app.marathon", family: 4 })?.since).to.equal(1000);
  });

  it("knows the names that this node hosts a backend of", () => {
    const bench = new Bench([put(task("n1", 1)), put(task("n2", 2, { ports: [port({ vips: ["/web:80"] })] }))]);
    const hosts = (name: string, family: 4 | 6 = 4) => bench.table.hosts({ name, family });
    expect([hosts("app.marathon"), hosts("app.marathon", 6), hosts("web.marathon")]).to.deep.equal([
      true,
      false,
      false,
    ]);
  });

  it("names virtual IPs that want the same, and serves the one with the name", () => {
    const bench = new Bench([put(task("n1", 1)), put(vipFact("n1", "app.marathon", "11.0.0.7"))]);
    const rival = task("n2", 2, { ports: [port({ vips: ["11.0.0.7:80", "11.0.0.7:81"] })] });
    bench.say(put(rival));
    expect(bench.services()).to.deep.equal(["tcp 11.0.0.7:80 → 9.0.0.1:80*1", "tcp 11.0.0.7:81 → 9.0.0.2:80*1"]);
    expect(bench.problems()).to.deep.equal([
      "tcp ip 11.0.0.7:80 is not served: tcp app.marathon:80 has the same address, protocol and port, tcp 11.0.0.7:80; give it another",
    ]);
    bench.say(drop(task("n1", 1)));
    expect(bench.services()).to.deep.equal(["tcp 11.0.0.7:80 → 9.0.0.2:80*1", "tcp 11.0.0.7:81 → 9.0.0.2:80*1"]);
    expect(bench.problems()).to.deep.equal([]);
  });

  it("balances as the first of its tasks says, and names contradictions and bad labels", () => {
    const bench = new Bench([
      put(task("n1", 1, { ports: [port({ balance: { scheduler: "rr", affinity: "60" } })] })),
      put(task("n2", 2, { ports: [port({ balance: { scheduler: "sh" }, vips: ["/app:80", "oh no"] })] })),
    ]);
    expect(bench.services()).to.deep.equal([`tcp ${APP}:80 rr 60s → 9.0.0.1:80*1 9.0.0.2:80*1`]);
    expect(bench.problems()).to.deep.equal([
      'task app.2 of marathon: VIP label "oh no" is not <name or address>:<port>, such as /app:80',
      `tcp ${APP}:80: its tasks say different things in L4LB_SCHEDULER: rr, sh; rr counts`,
    ]);
  });

  it("says nothing when nothing of a service is different", () => {
    const bench = new Bench([put(task("n1", 1))]).say(put(task("n1", 1, { health: "healthy" })));
    expect([...(bench.last?.services ?? [])]).to.deep.equal([]);
  });
});

const OWNERS = ["n1", "n2", "n3"] as const;
const owner = fc.constantFrom(...OWNERS);
const LABELS = ["/app:80", "app:80", "/web:80", "/web:81", "11.0.0.189:80", "11.0.0.7:80", "[fd01:c::1]:80", "bad"];
const anyFact: fc.Arbitrary<Fact> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({
        owner,
        number: fc.integer({ min: 1, max: 5 }),
        labels: fc.subarray(LABELS),
        state: fc.constantFrom("running" as const, "killing" as const, "preparing" as const),
        health: fc.constantFrom("healthy" as const, "unhealthy" as const),
        dual: fc.boolean(),
        protocol: fc.constantFrom("tcp" as const, "udp" as const),
      })
      .map(({ owner, number, labels, state, health, dual, protocol }) => {
        const ports = [port({ vips: labels.sort(), protocol })];
        const addresses = [`9.0.0.${number}`, ...(dual ? [`fd01:b::${number}`] : [])].map((address) => ({ address }));
        return task(owner, number, { ports, state, health, addresses });
      }),
  },
  fc
    .record({
      owner,
      name: fc.constantFrom("app", "web"),
      last: fc.integer({ min: 1, max: 4 }),
      since: fc.integer({ min: 1, max: 4 }),
    })
    .map(({ owner, name, last, since }) => vipFact(owner, `${name}.marathon`, `11.0.0.${last}`, since)),
  fc.record({ owner, node: owner }).map(({ owner, node }) => drainFact(owner, "node", node)),
  owner.map(node),
);
const anyChange: fc.Arbitrary<FactChange> = fc.oneof(
  { weight: 6, arbitrary: anyFact.map(put) },
  { weight: 2, arbitrary: anyFact.map(drop) },
  fc
    .record({ owner, verdict: fc.constantFrom("alive" as const, "unreachable" as const, "forgotten" as const) })
    .map(({ owner, verdict }) => judge(owner, verdict)),
);

describe("the table of many virtual IPs", function () {
  this.timeout(20_000);

  it("reads no other task when one of 10,000 changes", () => {
    const reads = new Set<string>();
    const watched = noting(reads);
    const one = (number: number, said: Partial<Task> = {}): Fact =>
      watched(
        task("n2", number % 250, { id: `t${number}`, ports: [port({ vips: [`11.0.0.1:${number + 1}`] })], ...said }),
      );
    const bench = new Bench(Array.from({ length: 10_000 }, (_, number) => put(one(number))));
    expect([reads.size, bench.table.rows.size]).to.deep.equal([10_000, 10_000]);
    const changed = one(77, { state: "killing" });
    reads.clear();
    bench.say(put(changed));
    expect([...reads]).to.deep.equal([changed.key]);
    expect([...(bench.last?.services.keys() ?? [])]).to.deep.equal(["tcp 11.0.0.1:78"]);
  });
});

describe("the table of virtual IPs, whatever happens", function () {
  this.timeout(20_000);

  it("takes the claims of a forgotten node, once it is heard of again, as those of any other", () => {
    const bench = new Bench([put(nodeFact("n3")), judge("n3", "unreachable")]);
    bench.say(judge("n3", "forgotten"), put(vipFact("n3", "app.marathon", "11.0.0.1", 1)));
    bench.say(put(task("n1", 1)), put(vipFact("n1", "app.marathon", "11.0.0.2", 2)));
    expect(bench.services()).to.deep.equal(["tcp 11.0.0.1:80 → 9.0.0.1:80*1"]);
  });

  it("is what a new one computes from all there is, and tells of every change", () => {
    fc.assert(
      fc.property(fc.array(fc.array(anyChange, { maxLength: 4 }), { maxLength: 25 }), (batches) => {
        const bench = new Bench();
        const told = new Map<string, Service>();
        for (const batch of batches) {
          bench.say(...batch);
          for (const [name, { before, after }] of bench.last?.services ?? []) {
            expect(told.get(name)).to.deep.equal(before);
            if (after === undefined) told.delete(name);
            else told.set(name, after);
          }
        }
        const anew = tableOf(() => bench.now);
        anew.begin(bench.view.snapshot());
        const wanted = [...anew.rows].map(({ service }) => textOf(service)).sort();
        expect(bench.services()).to.deep.equal(wanted);
        expect([...told.values()].map(textOf).sort()).to.deep.equal(wanted);
        expect(bench.problems().sort()).to.deep.equal([...anew.problems()].sort());
      }),
      { numRuns: 500 },
    );
  });
});
