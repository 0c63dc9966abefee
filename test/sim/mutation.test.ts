import { expect } from "chai";
import { memberRecord } from "../../gossip/member.ts";
import { Membership } from "../../gossip/membership.ts";
import type { Packet } from "../../gossip/message.ts";
import { Replica } from "../../gossip/replica.ts";
import { Suspicion } from "../../gossip/suspicion.ts";
import { chaos } from "./chaos.ts";
import { Invariants } from "./invariants.ts";
import { World } from "./world.ts";

// Pieces of the protocol are broken on purpose: the invariants must see it, or they are worth nothing.

/** Runs `action` while a method of a class is replaced. */
function broken<T extends object, K extends keyof T>(
  target: T,
  method: K,
  replacement: T[K],
  action: () => void,
): void {
  const original = target[method];
  target[method] = replacement;
  try {
    action();
  } finally {
    target[method] = original;
  }
}

function violationsOf(seed: number, loss: number): string {
  return chaos({ seed, nodes: 16, seconds: 40, loss }).invariants.violations.join("\n");
}

describe("the invariants of the simulator", function () {
  this.timeout(120_000);

  it("find nothing when nothing is broken", () => {
    expect(violationsOf(1, 0.05)).to.equal("");
  });

  it("catch a replica that takes a delta although something before it is missing", () => {
    const apply = Replica.prototype.apply;
    const takeAnything: Replica["apply"] = function (this: Replica, delta) {
      const { generation, version } = this.position(delta.owner);
      const from = generation === delta.generation ? Math.min(delta.from, version) : 0;
      return apply.call(this, { ...delta, from });
    };
    broken(Replica.prototype, "apply", takeAnything, () => {
      expect(violationsOf(1, 0.05)).to.contain("other facts of");
    });
  });

  it("catch a suspicion that gives no time to answer", () => {
    broken(
      Suspicion.prototype,
      "deadline",
      () => 0,
      () => {
        const world = new World({ seed: 2, loss: 0.15 });
        const invariants = new Invariants(world);
        for (let count = 0; count < 40; count++) world.addHost();
        for (const host of world.hosts) world.start(host, world.hosts.slice(0, 3));
        world.run(120_000);
        expect(invariants.violations.join("\n")).to.contain("as dead, which is not");
      },
    );
  });

  /** Kills a node, and sends its last packets again when everybody has long counted it as dead. */
  function replayOfTheDead(world: World): string {
    const invariants = new Invariants(world);
    for (let count = 0; count < 12; count++) world.addHost();
    for (const host of world.hosts) world.start(host, world.hosts.slice(0, 3));
    world.run(20_000);
    const victim = world.hosts[5];
    if (victim === undefined) throw new Error("too few hosts");
    const last: Packet[] = [];
    world.taps.push((from, packet) => {
      if (from === victim.address) last.push(packet);
    });
    world.run(2_000);
    world.kill(victim);
    world.run(20_000);
    for (const packet of last) for (const host of world.up()) world.inject(host, victim.address, packet);
    world.run(20_000);
    return invariants.violations.join("\n");
  }

  it("find nothing when the packets of a dead node are replayed", () => {
    expect(replayOfTheDead(new World({ seed: 3 }))).to.equal("");
  });

  it("catch a node that believes the dead when they speak", () => {
    const world = new World({ seed: 3 });
    const learn = Membership.prototype.learn;
    const believe: Membership["learn"] = function (this: Membership, record, source, by, seconds) {
      const { name, address, generation, incarnation } = record;
      const known = world.hosts.find((host) => host.name === this.self.name)?.node?.members.get(name);
      const isDead = source === "self" && known?.state === "dead";
      const news = isDead ? memberRecord(name, address, generation, incarnation + 1, "alive") : record;
      learn.call(this, news, source, by, seconds);
    };
    broken(Membership.prototype, "learn", believe, () => {
      expect(replayOfTheDead(world)).to.contain("as alive, which is dead");
    });
  });
});
