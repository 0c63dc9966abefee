import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { taskView } from "../../../../bin/dns/task-view.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { jsonLog } from "../../../../lib/log.ts";
import { eventually, SOON_MS } from "../../../support/lab.ts";
import { testCluster } from "../../../support/overlay-suite.ts";

describe("a view without gossip", () => {
  const log = jsonLog(
    "test",
    "error",
    () => new Date(),
    () => {},
  );
  const options = { node: "n1", addresses: ["10.0.0.1"], files: linuxFiles, log };

  it("has this node, and the others as the static cluster has them now", async () => {
    const { view, show, stop } = taskView({ ...options, directory: undefined });
    const nodes = () => [...view.snapshot().nodes].map(([id, { fact }]) => [id, ...fact.body.addresses]).sort();
    expect(nodes()).to.deep.equal([["n1", "10.0.0.1"]]);
    show(testCluster(3));
    expect(nodes()).to.deep.equal([
      ["n1", "10.0.0.1"],
      ["n2", "10.0.0.2", "fd00::2"],
      ["n3", "10.0.0.3", "fd00::3"],
    ]);
    show(testCluster(2));
    expect(nodes().map(([id]) => id)).to.deep.equal(["n1", "n2"]);
    show(testCluster(3));
    expect(nodes().map(([id]) => id)).to.deep.equal(["n1", "n2", "n3"]);
    await stop();
  });

  it("has the tasks that the files of its directory define, as these change", async () => {
    const directory = mkdtempSync(join(tmpdir(), "dcos-net-task-view-"));
    writeFileSync(join(directory, "a.json"), '{"tasks": [{"name": "shop"}]}');
    const { view, stop } = taskView({ ...options, directory });
    const names = async () => [...view.snapshot().tasks.values()].map(({ body }) => body.name).sort();
    try {
      await eventually(SOON_MS, names, (found) => found.join() === "shop");
      writeFileSync(join(directory, "b.json"), '{"tasks": [{"name": "till"}]}');
      await eventually(SOON_MS, names, (found) => found.join() === "shop,till");
    } finally {
      await stop();
      rmSync(directory, { recursive: true });
    }
  });
});
