import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formerState, SnapshotKeeper } from "../../../../bin/cluster/snapshot-keeper.ts";
import { encodeSnapshot } from "../../../../gossip/snapshot.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";

describe("the keeper of what a node knows", () => {
  let folder: string;
  let clock: FakeClock;
  let keeper: SnapshotKeeper;
  let problems: string[];
  let saves: number;
  let saveMs: number;
  const path = () => join(folder, "state", "facts.snapshot");
  const log = {
    ...{ debug: () => {}, info: () => {} },
    warn: (event: string) => void problems.push(event),
    error: (event: string) => void problems.push(event),
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-snapshot-"));
    [clock, problems, saves, saveMs] = [fakeClock(), [], 0, 0];
    linuxFiles.makeDirectory(join(folder, "state"));
    const state = () => {
      clock.spend(saveMs);
      return { savedAt: ++saves, generation: 1, members: [], logs: [] };
    };
    keeper = new SnapshotKeeper({ path: path(), state, files: linuxFiles, clock, random: () => 0.5, log });
    await clock.advance(0);
  });
  afterEach(async () => {
    await keeper.stop();
    rmSync(folder, { recursive: true });
  });

  const saved = () => formerState(linuxFiles, path(), log)?.savedAt;

  it("saves soon after a change, and many changes as one", async () => {
    const before = saves;
    for (let change = 0; change < 100; change++) keeper.note();
    await clock.advance(1000);
    expect(saves).to.equal(before + 1);
    expect(saved()).to.equal(saves);
  });

  it("saves within seconds of a change, too, when the last save took a second", async () => {
    saveMs = 1000;
    keeper.note();
    await clock.advance(2000);
    const before = saves;
    keeper.note();
    await clock.advance(8000);
    expect(saves).to.equal(before + 1);
    expect(saved()).to.equal(saves);
  });

  it("saves a last time when it stops", async () => {
    const before = saves;
    await keeper.stop();
    expect(saved()).to.equal(before + 1);
  });

  it("tells what it can't save, and goes on trying", async () => {
    rmSync(join(folder, "state"), { recursive: true });
    keeper.note();
    await clock.advance(1000);
    expect(problems).to.deep.equal(["last view of the cluster not saved"]);
    linuxFiles.makeDirectory(join(folder, "state"));
    await clock.advance(10_000);
    expect(saved()).to.equal(saves);
  });

  it("goes without a damaged file, but not over one of a newer release", () => {
    const bytes = encodeSnapshot({ savedAt: 1, generation: 1, members: [], logs: [] });
    writeFileSync(path(), bytes.subarray(0, bytes.length - 1));
    expect(saved()).to.equal(undefined);
    expect(problems).to.deep.equal(["last view of the cluster not used"]);
    bytes["dcos-net facts ".length] = 99;
    writeFileSync(path(), bytes);
    expect(saved).to.throw("it has format 99");
  });
});
