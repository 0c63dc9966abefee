import { expect } from "chai";
import fc from "fast-check";
import type { Change, Dataplane } from "../../l4lb/dataplane.ts";
import { planServices } from "../../l4lb/plan.ts";
import { parseIp } from "../../lib/address.ts";
import { snapshot } from "../kernel/fixture.ts";
import type { VipWorld } from "./vip-behaviour.ts";
import { ADDRESS } from "./vip-network.ts";
import { service, services, sorted } from "./vip-services.ts";

const THREE = [service("tcp 11.0.0.1:80", ADDRESS[4].far), service("tcp [fd11::1]:80", ADDRESS[6].far)];

/** Cases about what stands in the kernel. */
export function stateCases(current: () => VipWorld): void {
  it("reads back what was applied, also by another object, and has then nothing to do", () => {
    const { plane, want, harness, network, cgroup } = current();
    fc.assert(
      fc.property(services, services, (first, second) => {
        want(...first);
        want(...second);
        const other = harness.open(network.node, cgroup);
        try {
          expect(other.prepare().made).to.deep.equal([]);
          expect(sorted(other.read())).to.deep.equal(sorted(second));
          expect(planServices(other.read(), second)).to.deep.equal([]);
        } finally {
          other.close();
        }
      }),
      { numRuns: 25 },
    );
    expect(planServices(plane.read(), []).map((change) => change.do)).to.not.include("put");
  });

  it("another object takes over what an earlier one made, connections included", async () => {
    const { peers, want, harness, network, cgroup } = current();
    const [first, second] = ADDRESS[4].far;
    want(service("tcp 11.0.0.1:80", [first]));
    const connection = await peers.client.open("tcp", { address: "11.0.0.1", port: 80 });
    const heir = harness.open(network.node, cgroup);
    try {
      heir.prepare();
      expect(await connection.say("on")).to.equal(`${first} on`);
      settle(heir, [service("tcp 11.0.0.1:80", [second])]);
      expect(await connection.say("off")).to.equal("closed");
      expect(await peers.client.ask({ address: "11.0.0.1", port: 80 }, 5)).to.deep.equal({ [second]: 5 });
      settle(heir, []);
    } finally {
      heir.close();
      await connection.close();
    }
  });

  it("preparing again makes nothing and disturbs nobody", async () => {
    const { peers, plane, want } = current();
    want(...THREE);
    const connection = await peers.client.open("tcp", { address: "11.0.0.1", port: 80 });
    const [server = ""] = connection.greeting.split(" ");
    for (let times = 0; times < 3; times++) expect(plane.prepare().made).to.deep.equal([]);
    expect(await connection.say("here")).to.equal(`${server} here`);
    await connection.close();
  });

  it("removing a service that isn't there, and putting one that is there, is no error", async () => {
    const { peers, plane, want } = current();
    want(...THREE);
    const [first] = THREE;
    if (first === undefined) throw new Error("no service");
    const key = { protocol: "tcp", ip: parseIp("11.0.0.7"), port: 7 } as const;
    const changes: Change[] = [
      { do: "delete", key, before: undefined },
      { do: "put", service: first, before: first },
    ];
    expect(plane.apply(changes)).to.deep.equal([undefined, undefined]);
    expect(sorted(plane.read())).to.deep.equal(sorted(THREE));
    const heard = await peers.client.ask({ address: "11.0.0.1", port: 80 }, 10);
    expect(ADDRESS[4].far).to.include.members(Object.keys(heard));
  });

  it("what can't be is refused by itself, and the other changes of the batch are made", async () => {
    const { peers, plane } = current();
    const [first] = ADDRESS[4].far;
    const good = service("tcp 11.0.0.1:80", [first]);
    const mixed = { ...service("tcp 11.0.0.2:80", []), backends: service("tcp [fd11::2]:80", ["fd88::11"]).backends };
    const outcome = plane.apply([
      { do: "put", service: mixed, before: undefined },
      { do: "put", service: good, before: undefined },
    ]);
    expect(outcome[0]).to.be.instanceOf(Error);
    expect(outcome[0]?.message).to.include("11.0.0.2");
    expect(outcome[1]).to.equal(undefined);
    expect(await peers.client.ask({ address: "11.0.0.1", port: 80 }, 3)).to.deep.equal({ [first]: 3 });
  });

  it("counters name the services and backends that are in force", async () => {
    const { peers, plane, want } = current();
    want(...THREE);
    await peers.client.ask({ address: "11.0.0.1", port: 80 }, 3);
    const named = plane.counters().map(({ key, backends }) => ({
      ip: key.ip,
      port: key.port,
      backends: backends.map(({ ip, port }) => ({ ip, port })),
    }));
    const expected = THREE.map(({ ip, port, backends }) => ({
      ip,
      port,
      backends: backends.map((backend) => ({ ip: backend.ip, port: backend.port })),
    }));
    expect(named).to.have.deep.members(expected);
  });

  it("each kind of damage is seen, and repaired by preparing and planning again", async () => {
    const { harness, network, peers, plane, want } = current();
    for (const { what, do: damage } of harness.damages) {
      want(...THREE);
      damage(network.node);
      const { made } = plane.prepare();
      const changes = planServices(plane.read(), THREE);
      expect(made.length + changes.length, `${what} is seen`).to.be.greaterThan(0);
      expect(plane.apply(changes), what).to.deep.equal(changes.map(() => undefined));
      expect(plane.prepare().made, what).to.deep.equal([]);
      expect(planServices(plane.read(), THREE), what).to.deep.equal([]);
      for (const [address, family] of [
        ["11.0.0.1", 4],
        ["fd11::1", 6],
      ] as const) {
        for (const peer of [peers.node, peers.client, peers.job]) {
          const heard = await peer.ask({ address, port: 80 }, 4);
          expect(ADDRESS[family].far, `${what}: ${JSON.stringify(heard)}`).to.include.members(Object.keys(heard));
        }
      }
    }
  });

  it("objects of others stay as they are", () => {
    const { harness, network, plane, want } = current();
    harness.foreign.make(network.node);
    const before = harness.foreign.look(network.node);
    expect(before).to.not.equal("");
    want(...THREE);
    expect(sorted(plane.read())).to.deep.equal(sorted(THREE));
    want(service("tcp 11.0.0.2:80", ["10.88.0.11"]));
    want();
    expect(harness.foreign.look(network.node)).to.equal(before);
    plane.remove();
    expect(harness.foreign.look(network.node)).to.equal(before);
  });

  it("removal leaves nothing, and all can be made again", async () => {
    const { harness, network, peers, plane, want } = current();
    plane.remove();
    const look = () => ({ ...withoutIndexes(snapshot(network.node)), left: harness.left(network.node) });
    const before = look();
    expect(plane.prepare().made).to.not.deep.equal([]);
    want(...THREE);
    plane.remove();
    expect(look()).to.deep.equal(before);
    plane.remove();
    expect(look(), "removed twice").to.deep.equal(before);
    plane.prepare();
    want(...THREE);
    const heard = await peers.client.ask({ address: "fd11::1", port: 80 }, 4);
    expect(ADDRESS[6].far).to.include.members(Object.keys(heard));
  });
}

function settle(plane: Dataplane, wanted: Parameters<typeof planServices>[1]): void {
  const changes = planServices(plane.read(), wanted);
  expect(plane.apply(changes)).to.deep.equal(changes.map(() => undefined));
}

function withoutIndexes(state: ReturnType<typeof snapshot>) {
  return { ...state, links: state.links.map(({ name, kind }) => `${name} ${kind}`) };
}
