import { expect } from "chai";
import type { Fact } from "../../../../facts/fact.ts";
import type { Task } from "../../../../facts/task.ts";
import type { FactChange } from "../../../../facts/view.ts";
import type { Service } from "../../../../l4lb/service.ts";
import { parseIp } from "../../../../lib/address.ts";
import { sampleTask, taskFact, vipFact } from "../../../support/facts.ts";
import { VipNode } from "../../../support/vip-node.ts";

const put = (fact: Fact): FactChange => ({ type: "held", owner: fact.owner, name: `${fact.kind}/${fact.key}`, fact });
const drop = ({ owner, kind, key }: Fact): FactChange => ({
  type: "held",
  owner,
  name: `${kind}/${key}`,
  fact: undefined,
});

function task(owner: string, number: number, said: Partial<Task> = {}): Fact {
  const agent = { id: owner, addresses: [`10.0.0.${owner.slice(1)}`] };
  return taskFact(
    owner,
    sampleTask({ id: `app.${number}`, addresses: [{ address: `9.0.0.${number}` }], agent, ...said }),
  );
}

const APP = "tcp 11.0.0.189:80";
const STALE: Service = {
  ...{ protocol: "tcp", ip: parseIp("11.0.0.5"), port: 80, scheduler: "wlc", affinity: 0 },
  backends: [{ ip: parseIp("9.0.0.9"), port: 80, weight: 1 }],
};

describe("the virtual IPs of a node", () => {
  it("are claimed, in the kernel and in DNS, in that order, within a few milliseconds of the news", async () => {
    const node = new VipNode();
    await node.clock.advance(1000);
    node.say(put(task("n1", 1)));
    await node.clock.advance(20);
    expect(node.claims()).to.deep.equal([`app.marathon 11.0.0.189 ${node.clock.now() - 15}`]);
    expect(node.story).to.deep.equal([`put ${APP}`, "name app.marathon 11.0.0.189"]);
    node.say(drop(task("n1", 1)));
    await node.clock.advance(20);
    expect(node.story.slice(2)).to.deep.equal(["name app.marathon gone", `delete ${APP}`]);
  });

  it("read the kernel for no news", async () => {
    const node = new VipNode();
    await node.clock.advance(1000);
    const { reads } = node.dataplane;
    for (let number = 1; number <= 5; number++) {
      node.say(put(task("n2", number)));
      await node.clock.advance(20);
    }
    expect([node.dataplane.reads - reads, node.dataplane.content()[0]?.split(" ").length]).to.deep.equal([0, 8]);
  });

  it("neither take anything away nor claim anything before the view is complete", async () => {
    const node = new VipNode([put(task("n2", 2))], [STALE]);
    node.isComplete = false;
    await node.clock.advance(1000);
    node.say(put(task("n1", 1)));
    await node.clock.advance(1000);
    expect(node.dataplane.content()).to.have.length(2);
    expect([node.claims(), node.settled]).to.deep.equal([[], 0]);
    node.isComplete = true;
    await node.clock.advance(1000);
    expect(node.dataplane.content()).to.deep.equal([`${APP} → 9.0.0.1:80*1 9.0.0.2:80*1`]);
    expect([node.claims().length, node.settled]).to.deep.equal([1, 1]);
  });

  it("go on with the claims of the node's former self, and keep them a while after the last task", async () => {
    const node = new VipNode([put(task("n1", 1)), put(vipFact("n1", "app.marathon", "11.0.0.7", 5))]);
    await node.clock.advance(1000);
    expect(node.claims()).to.deep.equal(["app.marathon 11.0.0.7 5"]);
    node.say(drop(task("n1", 1)));
    await node.clock.advance(30_000);
    expect(node.claims()).to.have.length(1);
    await node.clock.advance(31_000);
    expect(node.claims()).to.deep.equal([]);
  });

  it("are put back within five seconds when somebody else removes them, which is told", async () => {
    const node = new VipNode([put(task("n2", 2))]);
    await node.clock.advance(5000);
    node.dataplane.services.clear();
    node.dataplane.hasTable = false;
    await node.clock.advance(5000);
    expect(node.dataplane.content()).to.have.length(1);
    expect(node.vips.repairs.map(({ objects }) => objects)).to.deep.equal([["table", `service ${APP}`]]);
    expect(node.logged.join("")).to.include("foreign change of virtual IPs repaired");
  });

  it("are put back within five seconds again and again, however long a repair takes", async () => {
    const node = new VipNode([put(task("n2", 2))]);
    await node.clock.advance(5000);
    node.dataplane.onChange = () => node.clock.spend(900);
    for (let times = 1; times <= 3; times++) {
      node.dataplane.services.clear();
      await node.clock.advance(6000);
      expect(node.vips.repairs, `time ${times}`).to.have.length(times);
    }
  });

  it("are compared with the kernel more rarely where that takes long, so that it costs little", async () => {
    const node = new VipNode([put(task("n2", 2))]);
    node.dataplane.onRead = () => node.clock.spend(1000);
    await node.clock.advance(150_000);
    const { reads } = node.dataplane;
    await node.clock.advance(500_000);
    expect(node.dataplane.reads - reads).to.be.within(4, 6);
  });

  it("are not compared while the kernel says that nothing has changed, but when it doesn't or when asked", async () => {
    const node = new VipNode([put(task("n2", 2))]);
    node.dataplane.quiet = true;
    await node.clock.advance(5000);
    const { reads } = node.dataplane;
    node.say(put(task("n3", 3)));
    await node.clock.advance(60_000);
    expect([node.dataplane.reads - reads, node.dataplane.content()[0]?.split(" ").length]).to.deep.equal([0, 5]);
    node.vips.request();
    await node.clock.advance(500);
    expect(node.dataplane.reads - reads).to.equal(1);
    node.dataplane.quiet = false;
    node.dataplane.services.clear();
    await node.clock.advance(5000);
    expect(node.vips.repairs.map(({ objects }) => objects)).to.deep.equal([[`service ${APP}`]]);
  });

  it("are compared after a refusal, and while the view isn't complete, however quiet the kernel is", async () => {
    const node = new VipNode([put(task("n2", 2)), put(task("n3", 3))]);
    node.dataplane.quiet = true;
    await node.clock.advance(5000);
    node.dataplane.refuses.add(APP);
    node.say(put(task("n4", 4)));
    await node.clock.advance(1000);
    expect(node.vips.failure).to.match(/cannot set up/);
    node.dataplane.refuses.clear();
    await node.clock.advance(5000);
    expect([node.vips.failure, node.dataplane.content()[0]?.split(" ").length]).to.deep.equal([undefined, 6]);
    node.isComplete = false;
    node.say(drop(task("n2", 2)));
    await node.clock.advance(5000);
    expect(node.dataplane.content()[0]?.split(" ").length).to.equal(6);
    node.isComplete = true;
    await node.clock.advance(5000);
    expect(node.dataplane.content()[0]?.split(" ").length).to.equal(5);
  });

  it("are tried again when the kernel refuses, have no name until then, and say why", async () => {
    const node = new VipNode();
    await node.clock.advance(1000);
    node.dataplane.refuses.add(APP);
    node.say(put(task("n2", 2)));
    await node.clock.advance(3000);
    expect(node.vips.failure).to.match(/cannot set up tcp 11.0.0.189:80: .*no$/);
    expect(node.story.some((line) => line.startsWith("name"))).to.equal(false);
    node.dataplane.refuses.clear();
    await node.clock.advance(5000);
    expect([node.vips.failure, node.dataplane.content().length]).to.deep.equal([undefined, 1]);
    expect(node.story.at(-1)).to.equal("name app.marathon 11.0.0.189");
  });

  it("end what a drained task has left when its time is over", async () => {
    const node = new VipNode([put(task("n2", 2)), put(task("n3", 3))]);
    await node.clock.advance(1000);
    node.say(put(task("n3", 3, { state: "killing" })));
    await node.clock.advance(100);
    expect(node.dataplane.content()).to.deep.equal([`${APP} → 9.0.0.2:80*1 9.0.0.3:80*0`]);
    await node.clock.advance(5500);
    expect(node.dataplane.content()).to.deep.equal([`${APP} → 9.0.0.2:80*1`]);
  });

  it("leave the kernel as it is when the agent ends", async () => {
    const node = new VipNode([put(task("n2", 2))]);
    await node.clock.advance(1000);
    await node.vips.stop();
    node.say(drop(task("n2", 2)));
    await node.clock.advance(10_000);
    expect(node.dataplane.content()).to.have.length(1);
    expect(node.clock.pending()).to.equal(0);
  });
});
