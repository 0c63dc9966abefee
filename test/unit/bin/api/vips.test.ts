import { expect } from "chai";
import { vipEntries } from "../../../../bin/api/vips.ts";
import type { Fact } from "../../../../facts/fact.ts";
import { sampleTask, taskFact } from "../../../support/facts.ts";
import { VipNode } from "../../../support/vip-node.ts";

function task(number: number, label: string, more: Partial<Parameters<typeof sampleTask>[0]> = {}): Fact {
  const ports = [{ protocol: "tcp" as const, container: 80, vips: [label] }];
  const addresses = [{ address: `9.0.0.${number}` }];
  return taskFact("n2", sampleTask({ id: `app.${number}`, addresses, ports, ...more }), 1, 999_000);
}

async function node(...facts: readonly Fact[]): Promise<VipNode> {
  const made = new VipNode(facts.map((fact) => ({ type: "put", fact })));
  await made.clock.advance(1000);
  return made;
}

function ask(made: VipNode, query = "") {
  return vipEntries(made.running(), made.clock.now(), new URLSearchParams(query));
}

describe("GET /v1/vips", () => {
  it("shows each as DC/OS does, with weight, tasks and the state in the kernel besides", async () => {
    const made = await node(task(1, "/app:80"), task(2, "/app:80", { health: "unhealthy" }), task(3, "10.1.2.3:443"));
    expect(ask(made)).to.deep.equal([
      {
        vip: "10.1.2.3:443",
        protocol: "tcp",
        backend: [{ ip: "9.0.0.3", port: 80, weight: 1, tasks: [entry("app.3")] }],
        addresses: [{ ip: "10.1.2.3", kernel: "ok", lost: false }],
        scheduler: "wlc",
        affinity: 0,
        problems: [],
      },
      {
        vip: "app.marathon.l4lb.thisdcos.directory:80",
        protocol: "tcp",
        backend: [
          { ip: "9.0.0.1", port: 80, weight: 1, tasks: [entry("app.1")] },
          {
            ...{ ip: "9.0.0.2", port: 80, weight: 0 },
            tasks: [{ ...entry("app.2"), health: "unhealthy", drain: { cause: "unhealthy", age: 2, isOver: false } }],
          },
        ],
        addresses: [{ ip: "11.0.0.189", kernel: "ok", inDns: true, lost: false }],
        scheduler: "wlc",
        affinity: 0,
        problems: [],
      },
    ]);
  });

  it("filters by name, zone, address and port", async () => {
    const made = await node(task(1, "/app:80"), task(2, "/app:81"), task(3, "10.1.2.3:443"));
    const found = (vip: string): string[] =>
      ask(made, `vip=${vip}`).map((each) => each.vip.replace(/^app\..*:/, "app:"));
    expect(found("app.marathon")).to.deep.equal(["app:80", "app:81"]);
    expect(found("app.marathon.l4lb.thisdcos.directory:81")).to.deep.equal(["app:81"]);
    expect(found("11.0.0.189:80")).to.deep.equal(["app:80"]);
    expect(found("10.1.2.3")).to.deep.equal(["10.1.2.3:443"]);
    expect(found("nobody")).to.deep.equal([]);
  });

  it("adds what backends carry when asked", async () => {
    const made = await node(task(1, "/app:80"));
    expect(ask(made, "counters=yes")[0]?.backend[0]?.counters).to.deep.equal({ active: 1, total: 2 });
    expect(ask(made)[0]?.backend[0]).not.to.have.property("counters");
  });

  it("says what the kernel lacks, and why", async () => {
    const made = await node();
    made.dataplane.refuses.add("tcp 11.0.0.189:80");
    made.say({ type: "put", fact: task(1, "/app:80") });
    await made.clock.advance(100);
    expect(ask(made)[0]?.addresses).to.deep.equal([
      {
        ...{ ip: "11.0.0.189", kernel: "refused", inDns: false, lost: false },
        refusal: "cannot put tcp 11.0.0.189:80: no",
      },
    ]);
  });

  it("says that there are none where they are off", () => {
    expect(() => vipEntries(undefined, 0, new URLSearchParams())).to.throw("the setting l4lb is off");
  });
});

function entry(task: string) {
  return { task, name: "app", owner: "n2", age: 2, state: "running", health: "unknown", lost: false };
}
