import { expect } from "chai";
import { Hostnames } from "../../../../facts/sources/mesos-hostname.ts";
import { settled } from "../../../fake-mesos/replay.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

describe("Hostnames", () => {
  const make = (answers: Record<string, string[] | "fails" | "hangs">) => {
    const clock = fakeClock();
    const changes: string[] = [];
    const problems: (string | undefined)[] = [];
    const asked: string[] = [];
    const hostnames = new Hostnames({
      clock,
      resolve: (name) => {
        asked.push(name);
        const answer = answers[name] ?? "fails";
        if (answer === "hangs") return new Promise(() => {});
        return answer === "fails" ? Promise.reject(new Error("ENOTFOUND")) : Promise.resolve(answer);
      },
      onChange: (name) => changes.push(name),
      onProblem: (_, error) => problems.push(error?.message),
    });
    return { hostnames, clock, changes, problems, asked, answers };
  };

  it("takes a literal address for itself, and no name for none", () => {
    const { hostnames, asked } = make({});
    expect(hostnames.lookup("10.0.0.9")).to.deep.equal(["10.0.0.9"]);
    expect(hostnames.lookup("FD00::0:1")).to.deep.equal(["fd00::1"]);
    expect(hostnames.lookup("")).to.deep.equal([]);
    expect(asked).to.deep.equal([]);
  });

  it("asks once, tells when the answer is there, and sorts it", async () => {
    const { hostnames, changes, asked } = make({ host: ["fd00::1", "10.0.0.2", "10.0.0.1", "rubbish"] });
    expect(hostnames.lookup("host")).to.equal(undefined);
    expect(hostnames.lookup("host")).to.equal(undefined);
    await settled();
    expect(hostnames.lookup("host")).to.deep.equal(["10.0.0.1", "10.0.0.2", "fd00::1"]);
    expect([changes, asked]).to.deep.equal([["host"], ["host"]]);
  });

  it("has no address for a name that fails or hangs, says so, and asks again", async () => {
    const { hostnames, clock, changes, problems, answers } = make({ host: "fails", slow: "hangs" });
    hostnames.lookup("host");
    hostnames.lookup("slow");
    await settled();
    expect(hostnames.lookup("host")).to.deep.equal([]);
    expect(hostnames.lookup("slow")).to.equal(undefined);
    await clock.advance(5_000);
    expect(hostnames.lookup("slow")).to.deep.equal([]);
    expect(problems[0]).to.include("ENOTFOUND");
    expect(problems[1]).to.include("no answer");
    answers["host"] = ["10.0.0.1"];
    await clock.advance(30_000);
    await settled();
    expect(hostnames.lookup("host")).to.deep.equal(["10.0.0.1"]);
    expect(problems).to.include(undefined);
    expect(changes).to.deep.equal(["host", "slow", "host"]);
  });

  it("keeps an address when its name stops resolving, and follows it when it changes", async () => {
    const { hostnames, clock, answers, changes } = make({ host: ["10.0.0.1"] });
    hostnames.lookup("host");
    await settled();
    answers["host"] = "fails";
    await clock.advance(300_000);
    await settled();
    expect(hostnames.lookup("host")).to.deep.equal(["10.0.0.1"]);
    answers["host"] = ["10.0.0.2"];
    await clock.advance(30_000);
    await settled();
    expect(hostnames.lookup("host")).to.deep.equal(["10.0.0.2"]);
    expect(changes).to.deep.equal(["host", "host"]);
  });

  it("forgets names that aren't needed, with their timers", async () => {
    const { hostnames, clock } = make({ host: ["10.0.0.1"] });
    hostnames.lookup("host");
    await settled();
    hostnames.stop();
    expect(clock.pending()).to.equal(0);
  });
});
