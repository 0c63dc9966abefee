import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { allocate, held, release } from "../../ipam/allocate.ts";
import { formatIp, parseIp } from "../../lib/address.ts";
import { addresses, makeScratch, NETWORK, netErrorOf, rangeSets, type Scratch } from "../support/ipam-scratch.ts";

const REFERENCE = "/usr/lib/cni/host-local";
const RANGES = [
  [{ subnet: "10.0.0.0/24", rangeEnd: "10.0.0.9" }],
  [{ subnet: "fd01::/64", rangeStart: "fd01::a", rangeEnd: "fd01::13" }],
];
const sets = rangeSets(["10.0.0.0/24 10.0.0.1-10.0.0.9"], ["fd01::/64 fd01::a-fd01::13"]);
const eth0 = (id: string) => ({ id, ifname: "eth0" });

describe("Debian's host-local and our leases in one directory", () => {
  let scratch: Scratch;
  before(function () {
    if (!existsSync(REFERENCE)) {
      console.log(`      skipped: ${REFERENCE} is missing (Debian package containernetworking-plugins)`);
      this.skip();
    }
  });
  beforeEach(() => {
    scratch = makeScratch();
  });
  afterEach(() => scratch.remove());

  /** One call of the reference; the addresses or the message that it answers. */
  function reference(verb: "ADD" | "DEL" | "CHECK", id: string, args = ""): string[] | string {
    const config = {
      cniVersion: "1.0.0",
      name: NETWORK,
      ipam: { type: "host-local", dataDir: scratch.dataDir, ranges: RANGES },
      prevResult: { cniVersion: "1.0.0", ips: [] },
    };
    const { stdout } = spawnSync(REFERENCE, {
      input: JSON.stringify(config),
      encoding: "utf8",
      timeout: 10_000,
      env: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: id,
        CNI_NETNS: "/var/run/netns/none",
        CNI_IFNAME: "eth0",
        CNI_PATH: "/usr/lib/cni",
        CNI_ARGS: args,
      },
    });
    if (stdout === "") return [];
    const answer: { msg?: string; ips?: { address: string }[] } = JSON.parse(stdout);
    return answer.msg ?? (answer.ips ?? []).map(({ address }) => address);
  }

  const ours = (id: string) => [...addresses(allocate(scratch.store(), sets, eth0(id)))];

  it("go on in each other's order, and give no address twice", () => {
    const given = ["a", "b", "c", "d", "e", "f"].flatMap((id, turn) =>
      turn % 2 === 0 ? ours(id) : reference("ADD", id),
    );
    expect(given).to.deep.equal([
      ...["10.0.0.2/24", "fd01::a/64", "10.0.0.3/24", "fd01::b/64", "10.0.0.4/24", "fd01::c/64"],
      ...["10.0.0.5/24", "fd01::d/64", "10.0.0.6/24", "fd01::e/64", "10.0.0.7/24", "fd01::f/64"],
    ]);
  });

  it("write the same files", () => {
    ours("c1");
    reference("ADD", "c2");
    const text = (name: string) => readFileSync(join(scratch.path, name), "utf8");
    expect(text("10.0.0.2").replace("c1", "c2")).to.equal(text("10.0.0.3"));
    expect(text("fd01::a").replace("c1", "c2")).to.equal(text("fd01::b"));
    expect([text("last_reserved_ip.0"), text("last_reserved_ip.1")]).to.deep.equal(["10.0.0.3", "fd01::b"]);
    ours("c3");
    expect([text("last_reserved_ip.0"), text("last_reserved_ip.1")]).to.deep.equal(["10.0.0.4", "fd01::c"]);
  });

  it("release what the other one leased", () => {
    ours("ours");
    reference("ADD", "theirs");
    expect(reference("CHECK", "ours")).to.deep.equal([]);
    expect(held(scratch.store(), eth0("theirs")).map(formatIp)).to.deep.equal(["10.0.0.3", "fd01::b"]);
    expect(reference("DEL", "ours")).to.deep.equal([]);
    expect(held(scratch.store(), eth0("ours"))).to.deep.equal([]);
    expect(release(scratch.store(), eth0("theirs"))).to.have.length(2);
    expect(reference("CHECK", "theirs")).to.contain("theirs");
    expect(scratch.leases()).to.deep.equal({});
  });

  it("refuse the same things in the same words", () => {
    reference("ADD", "a");
    ours("b");
    const refused = (id: string, ...requested: string[]) =>
      netErrorOf(() => allocate(scratch.store(), sets, eth0(id), requested.map(parseIp))).said;
    expect(refused("a")).to.equal(reference("ADD", "a"));
    expect(refused("b")).to.equal(reference("ADD", "b"));
    for (const wish of ["10.0.0.1", "10.0.0.2", "10.0.0.99", "192.0.2.1"]) {
      expect(refused("c", wish)).to.equal(reference("ADD", "c", `IP=${wish}`));
    }
  });

  it("find the pool exhausted at the same address", () => {
    const given = Array.from({ length: 8 }, (_, turn) =>
      turn % 2 === 0 ? ours(`c${turn}`) : reference("ADD", `c${turn}`),
    );
    expect(new Set(given.flat()).size).to.equal(16);
    const said = netErrorOf(() => ours("late")).said;
    expect(said?.startsWith(String(reference("ADD", "late")))).to.equal(true);
  });

  it("take turns through many adds and deletes without losing one", () => {
    const alive = new Map<string, string[]>();
    for (let turn = 0; turn < 60; turn++) {
      const id = `c${turn}`;
      const leases = turn % 3 === 0 ? reference("ADD", id) : ours(id);
      expect(leases, id).to.be.an("array");
      for (const present of alive.values()) for (const one of leases) expect(present).not.to.include(one);
      alive.set(id, [...leases]);
      const [oldest] = alive.keys();
      if (alive.size < 6 || oldest === undefined) continue;
      if (turn % 2 === 0) reference("DEL", oldest);
      else expect(release(scratch.store(), eth0(oldest))).to.have.length(2);
      alive.delete(oldest);
    }
    expect(Object.keys(scratch.leases())).to.have.length(alive.size * 2);
  }).timeout(60_000);
});
