import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { formerState, SnapshotKeeper } from "../../../../bin/cluster/snapshot-keeper.ts";
import { encodeSnapshot } from "../../../../gossip/snapshot.ts";
import type { SavedLog } from "../../../../gossip/state.ts";
import { linuxFiles } from "../../../../kernel/file.ts";
import { type FakeClock, fakeClock } from "../../../support/fake-clock.ts";
import { logOf } from "../../../support/saved-log.ts";

/** Least wait between two saves. */
const LEAST_GAP_MS = 250;

describe("the keeper of what a node knows", () => {
  let folder: string;
  let clock: FakeClock;
  let keeper: SnapshotKeeper;
  let problems: string[];
  let saves: number;
  let logs: readonly SavedLog[];
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
    logs = [];
    const state = () => {
      clock.spend(saveMs);
      return { savedAt: ++saves, generation: 1, members: [], logs };
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

  /** Calls `action` in each turn of the event loop from when the next save begins, until it says false. */
  function inEachTurn(action: () => boolean): void {
    const turn = (): void => void (action() && clock.schedule(0, turn));
    clock.schedule(LEAST_GAP_MS, turn);
  }

  it("lets other work be done between the steps of a large save", async () => {
    logs = [logOf("a", 10), logOf("b", 5000)];
    const before = saves;
    keeper.note();
    let turns = 0;
    inEachTurn(() => ++turns < 1000 && saved() !== before + 1);
    await clock.advance(LEAST_GAP_MS);
    expect(turns).to.be.within(15, 100);
    expect(formerState(linuxFiles, path(), log)?.logs).to.deep.equal(logs);
  });

  it("gives up a save in whose middle it stops, for the last one", async () => {
    logs = [logOf("a", 5000)];
    keeper.note();
    let turns = 0;
    let stopped: Promise<void> | undefined;
    inEachTurn(() => {
      if (++turns === 13) stopped = keeper.stop();
      return stopped === undefined;
    });
    await clock.advance(LEAST_GAP_MS);
    expect(turns).to.equal(13);
    await stopped;
    expect(saved()).to.equal(saves);
    expect(readdirSync(join(folder, "state"))).to.deep.equal(["facts.snapshot"]);
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
