import { expect } from "chai";
import { cleanUp, isClean, type Remnant, stepLines } from "../../../../bin/cleanup/remnant.ts";

const AS_IT_IS = { dryRun: false, force: false };

describe("the remnants of a host", () => {
  let gone: string[];
  const remnant = (what: string, inUse?: string): Remnant => ({
    what,
    ...(inUse === undefined ? {} : { inUse }),
    remove: () => void gone.push(what),
  });
  const refusing: Remnant = {
    what: "a link",
    remove: () => Promise.reject(new Error("EBUSY")),
  };

  beforeEach(() => {
    gone = [];
  });

  it("go in their order, and one that can't go keeps none of the others", async () => {
    const steps = await cleanUp([remnant("a file"), refusing, remnant("a table")], AS_IT_IS);
    expect(gone).to.deep.equal(["a file", "a table"]);
    expect(stepLines(steps)).to.deep.equal(["removed: a file", "failed: a link (EBUSY)", "removed: a table"]);
    expect(isClean(steps)).to.equal(false);
  });

  it("stay where they are in use, unless forced", async () => {
    const remnants = [remnant("a bridge", "containers are on it"), remnant("a file")];
    const steps = await cleanUp(remnants, AS_IT_IS);
    expect(stepLines(steps)).to.deep.equal(["left: a bridge (containers are on it)", "removed: a file"]);
    expect(isClean(steps)).to.equal(false);
    const forced = await cleanUp(remnants, { ...AS_IT_IS, force: true });
    expect(gone).to.deep.equal(["a file", "a bridge", "a file"]);
    expect(isClean(forced)).to.equal(true);
  });

  it("are only told of in a dry run, with what would stay", async () => {
    const remnants = [remnant("a bridge", "containers are on it"), remnant("a file")];
    const steps = await cleanUp(remnants, { dryRun: true, force: false });
    expect(stepLines(steps)).to.deep.equal(["found: a bridge (containers are on it)", "found: a file"]);
    expect(stepLines(await cleanUp(remnants, { dryRun: true, force: true }))[0]).to.equal("found: a bridge");
    expect(gone).to.deep.equal([]);
  });

  it("are none where nothing was found", async () => {
    const steps = await cleanUp([], AS_IT_IS);
    expect([isClean(steps), stepLines(steps)]).to.deep.equal([true, ["nothing of ours is there"]]);
  });
});
