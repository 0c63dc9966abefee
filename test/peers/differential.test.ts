import { existsSync } from "node:fs";
import { expect } from "chai";
import { type Difference, INTENDED } from "../support/peer-intended.ts";
import { describePeer, PLUGINS, REFERENCE, TESTING_REFERENCE } from "../support/peer-needs.ts";
import { CONTAINERS, type Observation, play, type Scenario } from "../support/peer-scenario.ts";
import { scenarios } from "../support/peer-scenarios.ts";

/** Every path that one side lacks or shows with another value, after each call of a scenario. */
function compare(
  { name, steps }: Scenario,
  reference: readonly Observation[],
  ours: readonly Observation[],
): Difference[] {
  const added = new Set<string>();
  const refused = new Set<string>();
  return steps.flatMap((step, index) => {
    const [theirs, mine] = [reference[index], ours[index]];
    if (theirs === undefined || mine === undefined) throw new Error(`call ${index} was not observed`);
    if (step.verb === "ADD") {
      const bothRefuse = theirs.get("exit") !== "0" && mine.get("exit") !== "0";
      const container = step.container ?? CONTAINERS[0];
      if (!bothRefuse) added.add(container);
      else if (!added.has(container)) refused.add(container);
    }
    const [anyAdded, anyRefused] = [added.size > 0, refused.size > 0];
    return [...new Set([...theirs.keys(), ...mine.keys()])]
      .filter((path) => theirs.get(path) !== mine.get(path))
      .map((path) => ({
        scenario: name,
        index,
        step,
        path,
        reference: theirs.get(path),
        ours: mine.get(path),
        anyAdded,
        anyRefused,
      }));
  });
}

function describeDifference({ index, step, path, reference, ours }: Difference): string {
  return `${index} ${step.verb}: ${path}: reference ${reference ?? "nothing"}, ours ${ours ?? "nothing"}`;
}

const needs = { programs: ["iptables"], files: [`${REFERENCE}/bridge`] };

describePeer("the same calls to the reference plugins and to ours", needs, function () {
  this.timeout(60_000);
  const used = new Set<string>();
  let calls = 0;

  for (const scenario of scenarios()) {
    it(`have the same effect: ${scenario.name}`, async () => {
      const [reference, ours] = await Promise.all([play(scenario, REFERENCE), play(scenario, PLUGINS)]);
      calls += scenario.steps.length;
      const unexplained = compare(scenario, reference, ours).filter((difference) => {
        const intended = INTENDED.find(({ covers }) => covers(difference));
        if (intended !== undefined) used.add(intended.reason);
        return intended === undefined;
      });
      expect(unexplained.map(describeDifference)).to.deep.equal([]);
    });
  }

  it("are some hundreds, and every intended difference still shows", function () {
    expect(calls).to.be.greaterThan(300);
    if (TESTING_REFERENCE || !existsSync(PLUGINS)) return this.skip();
    expect(INTENDED.map(({ reason }) => reason).filter((reason) => !used.has(reason))).to.deep.equal([]);
  });
});
