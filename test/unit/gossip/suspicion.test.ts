import { expect } from "chai";
import { DEFAULT_SETTINGS } from "../../../gossip/settings.ts";
import { Suspicion } from "../../../gossip/suspicion.ts";

const { suspicionMaxMs: most, suspicionMinMs: least } = DEFAULT_SETTINGS;

describe("a suspicion", () => {
  it("lasts long when one has it, shorter with each other, and counts nobody twice", () => {
    const suspicion = new Suspicion(1000, "a", 50, DEFAULT_SETTINGS);
    const deadlines = [suspicion.deadline()];
    expect(suspicion.confirm("a")).to.equal(false);
    for (const by of ["b", "c", "d"]) {
      expect(suspicion.confirm(by)).to.equal(true);
      expect(suspicion.confirm(by)).to.equal(false);
      deadlines.push(suspicion.deadline());
    }
    expect(suspicion.confirm("e")).to.equal(false);
    expect(deadlines).to.deep.equal(deadlines.toSorted((a, b) => b - a));
    expect(deadlines[0]).to.equal(1000 + most);
    expect(deadlines.at(-1)).to.equal(1000 + least);
  });

  it("waits half as long when nobody else could confirm it, and longer after a standstill", () => {
    const suspicion = new Suspicion(0, "a", 0, DEFAULT_SETTINGS);
    expect(suspicion.deadline()).to.equal((most + least) / 2);
    suspicion.postpone(700);
    expect(suspicion.deadline()).to.equal((most + least) / 2 + 700);
  });
});
