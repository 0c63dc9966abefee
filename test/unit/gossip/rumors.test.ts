import { expect } from "chai";
import type { Message } from "../../../gossip/message.ts";
import { Rumors, timesToSend } from "../../../gossip/rumors.ts";

const message = (sequence: number): Message => ({ type: "nack", sequence });

function take(rumors: Rumors, room: number, limit = 3): number[] {
  const taken: Message[] = [];
  rumors.take(room, limit, taken);
  return taken.map((each) => (each.type === "nack" ? each.sequence : -1));
}

describe("rumors", () => {
  it("are each sent so often as asked, what was sent least first", () => {
    const rumors = new Rumors();
    rumors.add("one", message(1), 10);
    expect(take(rumors, 10)).to.deep.equal([1]);
    rumors.add("two", message(2), 10);
    expect(take(rumors, 10)).to.deep.equal([2]);
    expect(take(rumors, 20)).to.have.members([1, 2]);
    expect(take(rumors, 20)).to.have.members([1, 2]);
    expect(rumors.size).to.equal(0);
    expect(take(rumors, 20)).to.deep.equal([]);
  });

  it("give way to newer ones with the same key", () => {
    const rumors = new Rumors();
    rumors.add("one", message(1), 10);
    rumors.add("one", message(2), 10);
    expect(take(rumors, 100)).to.deep.equal([2]);
  });

  it("never exceed their room, nor a number in memory", () => {
    const rumors = new Rumors();
    for (let index = 0; index < 1000; index++) rumors.add(`key ${index}`, message(index), 10);
    expect(rumors.size).to.equal(256);
    expect(take(rumors, 95)).to.have.length(9);
    rumors.settle();
    expect(rumors.size).to.equal(0);
  });

  it("are sent more often in larger clusters", () => {
    expect([3, 1000, 10_000].map(timesToSend)).to.deep.equal([3, 10, 13]);
  });
});
