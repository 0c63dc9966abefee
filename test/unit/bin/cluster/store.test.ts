import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openStore } from "../../../../bin/cluster/store.ts";
import type { Fact, NodeFact } from "../../../../facts/fact.ts";
import { FactView } from "../../../../facts/view.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import type { LeaderStore } from "../../../../overlay/leader/store.ts";
import { assignmentFact, nodeFact } from "../../../support/facts.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

const NEVER = new AbortController().signal;

describe("the store of a master", () => {
  let folder: string;
  let view: FactView;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-store-"));
    view = new FactView();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (store: string): LeaderStore =>
    openStore({
      ...{ store, path: join(folder, "overlay.store"), self: "m1", files: linuxFiles, clock: fakeClock() },
      view: () => view.snapshot(),
    });
  const tell = (fact: Fact) => view.apply([{ type: "put", fact }]);
  const master = (id: string): NodeFact => {
    const fact = nodeFact(id);
    return { ...fact, body: { ...fact.body, role: "master" } };
  };
  async function refusal(store: LeaderStore): Promise<string> {
    try {
      await (await store.lead(NEVER)).resign();
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
    return "none";
  }

  it("is a file for a master that is the only one", async () => {
    tell(master("m1"));
    tell(nodeFact("a1"));
    expect(await refusal(open("file"))).to.equal("none");
  });

  it("is no file while another master is known, alive or not: both would hand out the same", async () => {
    const store = open("file");
    tell(master("m2"));
    view.apply([{ type: "owner", owner: "m2", liveness: "unreachable" }]);
    expect(await refusal(store)).to.match(/other masters: m2; set overlay_store .* forget masters that are gone/);
  });

  it("isn't used while it is empty and assignments are in force, and is free for the next try", async () => {
    const store = open("file");
    tell(assignmentFact("m1", "a1", 1));
    expect(await refusal(store)).to.match(/the store is empty, but 1 nodes have assignments .*restore/);
    view.apply([{ type: "owner", owner: "m1", liveness: "forgotten" }]);
    expect(await refusal(store)).to.equal("none");
  });

  for (const text of ["", "zookeeper", "etcd://10.0.0.1/x", "zk://", "zk://10.0.0.1:2181"]) {
    it(`can't be ${JSON.stringify(text)}`, () => {
      expect(() => open(text)).to.throw("zk://10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/dcos-net");
    });
  }
});
