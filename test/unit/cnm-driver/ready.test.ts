import { expect } from "chai";
import { readyLater } from "../../../cnm-driver/ready.ts";
import { NetError } from "../../../lib/error.ts";
import { fakeClock } from "../../support/fake-clock.ts";

describe("a value that is not there yet", () => {
  it("is given to all who wait, and at once to those who come later, the newest one", async () => {
    const clock = fakeClock();
    const ready = readyLater<string>(clock, "the overlays", 5000);
    const waiting = [ready.wait(), ready.wait()];
    await clock.advance(4999);
    ready.set("first");
    expect(await Promise.all(waiting)).to.deep.equal(["first", "first"]);
    ready.set("second");
    expect(await ready.wait()).to.equal("second");
    expect(ready.current()).to.equal("second");
    expect(clock.pending(), "limits that still run").to.equal(0);
  });

  it("is waited for no longer than the limit, and the refusal names it", async () => {
    const clock = fakeClock();
    const ready = readyLater<string>(clock, "the overlays", 5000);
    const waiting = ready.wait().catch((error: unknown) => error);
    await clock.advance(5000);
    const error = await waiting;
    expect(error).to.be.instanceOf(NetError);
    expect(String(error)).to.include(
      "cannot learn the overlays: nothing is known after 5000 ms; see `dcos-net status`",
    );
    ready.set("late");
    expect(await ready.wait()).to.equal("late");
  });
});
