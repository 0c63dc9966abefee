import { expect } from "chai";
import { healthBody } from "../../../../bin/api/health.ts";
import { sampleState } from "../../../support/api-state.ts";
import { dnsState, REPORT } from "../../../support/dns-state.ts";
import { assignmentFact } from "../../../support/facts.ts";
import { network } from "../../overlay/leader/fixture.ts";

function sample() {
  const made = sampleState();
  made.learn(assignmentFact("m1", "m1", 1));
  return made;
}

describe("GET /health", () => {
  it("has nothing to say of a node on which all is well", () => {
    expect(healthBody(sample().state)).to.deep.equal({ healthy: true, problems: [], warnings: [] });
  });

  it("calls a node unhealthy that doesn't know who is there", () => {
    const made = sample();
    made.settled = false;
    expect(healthBody(made.state)).to.include({ healthy: false });
    expect(healthBody(made.state).problems.join()).to.include("doesn't know yet who is there");
  });

  it("calls a node unhealthy whose overlay was never set up, or fails", () => {
    const never = sample();
    never.loop = { ...never.loop, lastSuccess: undefined };
    expect(healthBody(never.state).problems).to.deep.equal(["the overlay has not been set up yet"]);
    const failing = sample();
    failing.loop = { ...failing.loop, failuresInARow: 3 };
    expect(healthBody(failing.state).problems).to.deep.equal(["the overlay could not be set up 3 times in a row"]);
  });

  it("warns of what is wrong besides, and stays healthy", () => {
    const made = sampleState();
    made.master = { network: network(), leading: undefined, problem: "the store is away" };
    made.sources.push(
      { name: "docker", tasks: 0, problem: "no socket" },
      { name: "file", tasks: 1, problem: undefined },
    );
    made.conflicts = 2;
    made.nameConflicts = 1;
    const { healthy, warnings } = healthBody(made.state);
    expect(healthy).to.equal(true);
    expect(warnings).to.have.lengthOf(5);
    for (const said of ["no leader has given", "2 kernel objects", "store is away", "docker: no socket", "id file"]) {
      expect(warnings.join("\n")).to.include(said);
    }
  });

  it("warns of what the leader refused to this node", () => {
    const made = sampleState();
    const { body, ...head } = assignmentFact("m1", "m1", 1);
    made.learn({ ...head, body: { node: "m1", epoch: 1, overlays: [], refusal: "vtep_subnet is used up" } });
    expect(healthBody(made.state).warnings).to.deep.equal([
      "the leader gave this node nothing: vtep_subnet is used up",
    ]);
    made.learn({
      ...head,
      version: 2,
      body: { ...body, overlays: body.overlays.map((overlay) => ({ ...overlay, refusal: "used up" })) },
    });
    expect(healthBody(made.state).warnings).to.deep.equal(["overlay dcos: used up"]);
  });

  it("warns of addresses of the DNS server that can't be had, of what is wrong with it, and of upstreams that are down", () => {
    const made = sample();
    const upstream = { upstream: "10.0.0.53:53", latencyMs: 1, asked: 1, answered: 0, failures: {}, lastFailure: "x" };
    const zones = [
      { zone: "", upstreams: [{ ...upstream, health: "down" as const }] },
      { zone: "corp.example", upstreams: [{ ...upstream, health: "down" as const }] },
    ];
    const report = { ...REPORT, waiting: ["198.51.100.2:53"], problems: ["no rules"] };
    const forwarding = { ...REPORT.forwarding, zones };
    made.dns = { ...dnsState().dns, report: () => ({ ...report, forwarding }) };
    expect(healthBody(made.state)).to.deep.equal({
      healthy: true,
      problems: [],
      warnings: [
        "DNS can't listen yet on 198.51.100.2:53",
        "DNS: no rules",
        "DNS: upstream 10.0.0.53:53 doesn't answer",
      ],
    });
  });
});
