import { expect } from "chai";
import fc from "fast-check";
import { describeHolder, networkComment, ownerComment, shorten } from "../../../cni/firewall-owner.ts";

const NAME = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/);
const IFNAME = fc.stringMatching(/^[^\s/:]{1,15}$/).filter((name) => new TextEncoder().encode(name).length <= 15);
const OWNER = fc.record({ network: NAME, containerId: NAME, ifname: IFNAME });

describe("the owner in a comment", () => {
  it("is readable as it stands with the ids of Mesos, podman and containerd", () => {
    const mesos = "6b9c3c8e-0c0e-4a6d-8bb5-123456789abc.6b9c3c8e-0c0e-4a6d-8bb5-123456789abc";
    expect(ownerComment({ network: "dcos", containerId: mesos, ifname: "eth0" })).to.equal(`dcos ${mesos} eth0`);
    const hex = "0123456789abcdef".repeat(4);
    expect(ownerComment({ network: "mesos-bridge", containerId: hex, ifname: "eth12" })).to.equal(
      `mesos-bridge ${hex} eth12`,
    );
  });

  it("fits into the 128 bytes that nftables keeps, needs no quoting, and begins with its network", () => {
    fc.assert(
      fc.property(OWNER, (owner) => {
        const comment = ownerComment(owner);
        expect(comment).to.match(/^[\w.@-]+ [\w.@-]+ [\w.@-]+$/);
        expect(comment.length).to.be.at.most(128);
        expect(comment.startsWith(networkComment(owner.network))).to.equal(true);
      }),
    );
  });

  it("differs for owners that differ in a single character, however long they are", () => {
    const long = "x".repeat(250);
    const names = ["a", "a.b", `${long}a`, `${long}b`, `${long}`];
    const owners = names.flatMap((network) =>
      names.flatMap((containerId) =>
        ["eth0", "eth1", 'et"h', "et'h", "é"].map((ifname) => ({ network, containerId, ifname })),
      ),
    );
    expect(new Set(owners.map(ownerComment)).size).to.equal(owners.length);
    expect(new Set(names.map(networkComment)).size).to.equal(names.length);
  });

  it("of one network is never taken for one of another", () => {
    fc.assert(
      fc.property(OWNER, NAME, (owner, other) => {
        expect(ownerComment(owner).startsWith(networkComment(other))).to.equal(owner.network === other);
      }),
    );
  });

  it("is told in words", () => {
    expect(describeHolder("dcos web-1 eth0")).to.equal("container web-1 (eth0 on network dcos)");
    expect(describeHolder(undefined)).to.equal("a firewall element that isn't ours (without comment)");
    expect(describeHolder("mine")).to.equal("a firewall element that isn't ours (mine)");
  });
});

describe("shortening", () => {
  it("leaves what is shorter than the limit, and makes everything else exactly as long as it", () => {
    expect(shorten("abc", 20)).to.equal("abc");
    expect(shorten("a".repeat(19), 20)).to.equal("a".repeat(19));
    expect(shorten("a".repeat(20), 20)).to.match(/^aaa\.[0-9a-f]{16}$/);
    expect(shorten("a".repeat(20), 20)).to.not.equal(shorten("a".repeat(21), 20));
  });
});
