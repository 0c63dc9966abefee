import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { linuxFiles } from "../../../../kernel/file.ts";
import { NetError } from "../../../../lib/error.ts";
import type { Files } from "../../../../lib/files.ts";
import { fileStore } from "../../../../overlay/leader/file-store.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Change, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import type { Term } from "../../../../overlay/leader/store.ts";
import { withChanges } from "../../../../overlay/leader/stored.ts";
import { network, node, rejectionOf } from "./fixture.ts";

const never = new AbortController().signal;

/** Real changes: three nodes register. */
function changes(): Change[] {
  const draft = draftOf(registryOf(network(), []));
  for (const id of ["a", "b", "c"]) {
    register(draft, node(id, `10.0.0.${id.charCodeAt(0) - 96}`), () => undefined);
  }
  return [{ do: "network", network: network() }, ...draft.changes];
}

describe("the store in a file", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-leader-"));
    path = join(directory, "deep/er/overlay.json");
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const lead = (files: Files = linuxFiles): Promise<Term> => fileStore(files, path).lead(never);

  it("begins empty, and gives the next term everything and a higher epoch", async () => {
    const first = await lead();
    expect(first.stored).to.deep.equal({ network: undefined, records: [] });
    await first.commit(changes());
    await first.commit([{ do: "remove", id: "b" }]);
    await first.resign();
    const second = await lead();
    expect(second.epoch).to.equal(first.epoch + 1);
    const expected = withChanges(withChanges(first.stored, changes()), [{ do: "remove", id: "b" }]);
    expect(second.stored).to.deep.equal(expected);
    await second.resign();
  });

  it("lets one process lead at a time", async () => {
    const first = await lead();
    const refusal = await rejectionOf(lead());
    expect(refusal.code).to.equal("busy");
    expect(refusal.message).to.match(/another process leads with it/);
    await first.resign();
    await (await lead()).resign();
  });

  it("stores nothing after its term, and says that it is over", async () => {
    const first = await lead();
    await first.resign();
    expect((await rejectionOf(first.commit(changes()))).code).to.equal("conflict");
    expect((await first.lost).message).to.match(/given up/);
    const second = await lead();
    expect(second.stored.records).to.deep.equal([]);
    await second.resign();
  });

  it("doesn't overwrite a file that somebody else has put in its place", async () => {
    const first = await lead();
    const other = new TextDecoder().decode(linuxFiles.read(path));
    linuxFiles.replace(path, `${other} `);
    expect((await rejectionOf(first.commit(changes()))).message).to.match(/somebody else has replaced it/);
    expect(new TextDecoder().decode(linuxFiles.read(path))).to.equal(`${other} `);
  });

  it("is readable by root only", async () => {
    const first = await lead();
    const { stdout } = Bun.spawnSync(["stat", "-c", "%a", path]);
    expect(stdout.toString().trim()).to.equal("600");
    await first.resign();
  });

  it("holds the old content or the new, wherever a commit is broken off", async () => {
    const whole = changes();
    let reached = 0;
    for (let broken = 0; broken <= reached + 1; broken++) {
      const file = join(directory, `broken-${broken}`);
      const start = await fileStore(linuxFiles, file).lead(never);
      await start.resign();
      let calls = -1;
      const breaking = counting(() => {
        calls += 1;
        if (calls === broken) throw new NetError("io", { tried: "go on", said: "the power is out" });
      });
      const outcome = await commitOnce(breaking, file, whole);
      reached = Math.max(reached, calls);
      const next = await fileStore(linuxFiles, file).lead(never);
      const expected = outcome === "stored" ? [4] : [0, 4];
      expect(expected).to.include(next.stored.records.length + (next.stored.network === undefined ? 0 : 1));
      await next.resign();
    }
    expect(reached).to.be.greaterThan(5);
  });

  it("refuses a file with any bit changed, and leaves it alone", async () => {
    const first = await lead();
    await first.commit(changes());
    await first.resign();
    const good = linuxFiles.read(path) ?? new Uint8Array();
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 2), fc.nat(7), async (position, bit) => {
        const bad = good.slice();
        bad[position] = (bad[position] ?? 0) ^ (1 << bit);
        linuxFiles.write(path, bad);
        const refusal = await rejectionOf(lead());
        expect(["invalid", "unsupported"]).to.include(refusal.code);
        expect(linuxFiles.read(path)).to.deep.equal(bad);
      }),
      { numRuns: 300 },
    );
  });

  it("refuses a file that was cut anywhere, an empty one too", async () => {
    const first = await lead();
    await first.commit(changes());
    await first.resign();
    const good = linuxFiles.read(path) ?? new Uint8Array();
    for (let length = 0; length < good.length - 1; length += 7) {
      linuxFiles.write(path, good.subarray(0, length));
      expect((await rejectionOf(lead())).code, `${length} bytes`).to.equal("invalid");
    }
  });

  it("refuses a file of a newer release", async () => {
    linuxFiles.makeDirectory(join(directory, "deep/er"));
    linuxFiles.write(path, '{"format":2}\n{}\n');
    const refusal = await rejectionOf(lead());
    expect(refusal.code).to.equal("unsupported");
    expect(refusal.message).to.match(/has format 2, and this release knows format 1; it was left alone/);
  });
});

async function commitOnce(files: Files, path: string, list: readonly Change[]): Promise<"stored" | "broken"> {
  let term: Term | undefined;
  try {
    term = await fileStore(files, path).lead(never);
    await term.commit(list);
    return "stored";
  } catch {
    return "broken";
  } finally {
    await term?.resign();
  }
}

/** The real files, with a word before and after each change of them. */
function counting(step: () => void): Files {
  const around =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      step();
      const result = call(...args);
      step();
      return result;
    };
  return { ...linuxFiles, replace: around(linuxFiles.replace), stat: around(linuxFiles.stat) };
}
