import { expect } from "chai";
import { type DeleteDecision, decideDelete, forget } from "../../../../overlay/leader/forget.ts";
import { register } from "../../../../overlay/leader/register.ts";
import { type Draft, draftOf, registryOf } from "../../../../overlay/leader/registry.ts";
import { network, node } from "./fixture.ts";

function cluster(): Draft {
  const draft = draftOf(registryOf(network(), []));
  for (const id of ["a", "b", "c"]) register(draft, node(id, `10.0.0.${id.charCodeAt(0) - 96}`), () => undefined);
  return draft;
}

const nobody = () => false;

function decide(body: unknown, isAlive: (id: string) => boolean = nobody): DeleteDecision {
  return decideDelete(cluster(), body, isAlive);
}

describe("forgetting a node", () => {
  it("frees everything it held, which the next node gets", () => {
    const draft = cluster();
    forget(draft, "b");
    register(draft, node("d", "10.0.0.9"), () => undefined);
    expect(draft.records.get("d")?.vtep.mac).to.equal("70:b3:d5:80:00:02");
    expect(draft.changes.slice(-2).map((change) => change.do)).to.deep.equal(["remove", "put"]);
  });

  it("gives a node that comes back the same addresses while nobody else took them, as the reference", () => {
    const draft = cluster();
    const before = draft.records.get("c");
    forget(draft, "c");
    register(draft, node("c", "10.0.0.3"), () => undefined);
    expect(draft.records.get("c")).to.deep.equal(before);
  });

  it("does nothing for a node that it doesn't know", () => {
    const draft = cluster();
    const changes = draft.changes.length;
    forget(draft, "x");
    expect(draft.changes).to.have.length(changes);
  });
});

describe("the decision on agents/delete", () => {
  it("takes IPv4 addresses and ignores unknown ones", () => {
    expect(decide({ agents: ["10.0.0.3", "10.0.0.1", "10.9.9.9"] })).to.deep.equal({ forget: ["a", "c"] });
    expect(decide({ agents: [] })).to.deep.equal({ forget: [] });
  });

  for (const body of [
    undefined,
    null,
    [],
    "x",
    {},
    { agents: "10.0.0.1" },
    { agents: [1] },
    { agents: ["x"] },
    { agents: ["fd01::1"] },
  ]) {
    it(`answers 400 to ${JSON.stringify(body)}`, () => {
      expect(decide(body)).to.include({ status: 400 });
    });
  }

  it("answers 503 until the stored state is there", () => {
    expect(decideDelete(undefined, { agents: [] }, nobody)).to.include({ status: 503 });
  });

  it("refuses the whole request when one of the nodes is alive, and names it", () => {
    const decision = decide({ agents: ["10.0.0.1", "10.0.0.2"] }, (id) => id === "b");
    expect(decision).to.include({ status: 409 });
    expect(decision)
      .to.have.property("message")
      .that.matches(/alive: 10.0.0.2 \(b\)\. .*nothing was deleted/);
  });

  it("forgets the dead former owner of an address and leaves the living one", () => {
    const draft = cluster();
    register(draft, node("new", "10.0.0.1"), () => undefined);
    const decision = decideDelete(draft, { agents: ["10.0.0.1"] }, (id) => id === "new");
    expect(decision).to.deep.equal({ forget: ["a"] });
  });
});
