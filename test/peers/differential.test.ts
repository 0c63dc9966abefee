import { existsSync } from "node:fs";
import { expect } from "chai";
import { type Difference, INTENDED } from "../support/peer-intended.ts";
import { describePeer, PLUGINS, REFERENCE, TESTING_REFERENCE } from "../support/peer-needs.ts";
import { type Observation, play } from "../support/peer-scenario.ts";
import { scenarios } from "../support/peer-scenarios.ts";

/** Every path that one side lacks or shows with another value. */
function compare(scenario: string, call: string, reference: Observation, ours: Observation): Difference[] {
  return [...new Set([...reference.keys(), ...ours.keys()])]
    .filter((path) => reference.get(path) !== ours.get(path))
    .map((path) => ({ scenario, call, path, reference: reference.get(path), ours: ours.get(path) }));
}

function describeDifference({ call, path, reference, ours }: Difference): string {
  return `${call}: ${path}: reference ${reference ?? "nothing"}, ours ${ours ?? "nothing"}`;
}

const needs = { programs: ["iptables"], files: [`${REFERENCE}/bridge`] };

describePeer("the same calls to the reference plugins and to ours", needs, function () {
  this.timeout(60_000);
  const used = new Set<string>();
  let calls = 0;

  for (const scenario of scenarios()) {
    it(`have the same effect: ${scenario.name}`, async () => {
      const [reference, ours] = await Promise.all([play(scenario, REFERENCE), play(scenario, PLUGINS)]);
      const differences = scenario.steps.flatMap((step, index) =>
        compare(scenario.name, `${index} ${step.verb}`, reference[index] ?? new Map(), ours[index] ?? new Map()),
      );
      calls += scenario.steps.length;
      const unexplained = differences.filter((difference) => {
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
