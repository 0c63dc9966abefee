import { expect } from "chai";
import type { PortBalance } from "../../../facts/task.ts";
import { type Balance, readBalance } from "../../../l4lb/balance.ts";

function read(said: PortBalance | undefined): { balance: Balance; problems: string[] } {
  const problems: string[] = [];
  const balance = readBalance(said, (label, problem) => problems.push(`${label} ${problem}`));
  return { balance, problems };
}

describe("labels of balance", () => {
  it("say nothing but weight 1 when there are none", () => {
    expect(read(undefined)).to.deep.equal({
      balance: { scheduler: undefined, affinity: undefined, weight: 1 },
      problems: [],
    });
  });

  it("are read", () => {
    expect(read({ scheduler: "mh", affinity: "300", weight: "0" })).to.deep.equal({
      balance: { scheduler: "mh", affinity: 300, weight: 0 },
      problems: [],
    });
  });

  it("are named when they can't be used, and then count as not said", () => {
    const { balance, problems } = read({ scheduler: "random", affinity: "86401", weight: "-1" });
    expect(balance).to.deep.equal({ scheduler: undefined, affinity: undefined, weight: 1 });
    expect(problems).to.deep.equal([
      'L4LB_SCHEDULER "random" is none of wlc, rr, sh, mh',
      'L4LB_AFFINITY "86401" is no whole number from 0 to 86400',
      'L4LB_WEIGHT "-1" is no whole number from 0 to 65535',
    ]);
  });
});
