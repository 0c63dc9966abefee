import { expect } from "chai";
import {
  leadingCandidate,
  masterBase,
  onlyOldCandidates,
  parseZooKeeperUrl,
} from "../../../../facts/sources/mesos-zookeeper-url.ts";

describe("parseZooKeeperUrl", () => {
  it("reads servers, path and user", () => {
    expect(parseZooKeeperUrl("zk://u:p:w@h1:2182,10.0.0.2/mesos/prod/")).to.deep.equal({
      servers: ["h1:2182", "10.0.0.2:2181"],
      path: "/mesos/prod",
      credentials: "u:p:w",
    });
    expect(parseZooKeeperUrl("zk://zk-1.zk:2181/mesos")).to.deep.equal({
      servers: ["zk-1.zk:2181"],
      path: "/mesos",
      credentials: undefined,
    });
  });

  for (const url of [
    "",
    "zk://",
    "zk://h:2181",
    "zk://h:2181/",
    "zk:///mesos",
    "http://h:2181/mesos",
    "zk://h:0/mesos",
    "zk://h:65536/mesos",
    "zk://h:x/mesos",
    "zk://h,,g/mesos",
    "zk://[::1]:2181/mesos",
    "zk://user@h/mesos",
    "zk://h/mesos//x",
    "zk://h/mesos/../x",
  ]) {
    it(`refuses ${JSON.stringify(url)}`, () => {
      expect(() => parseZooKeeperUrl(url)).to.throw("cannot read the ZooKeeper address");
    });
  }

  it("doesn't repeat the password of a wrong address", () => {
    expect(() => parseZooKeeperUrl("zk://user:secret@h:99999/mesos"))
      .to.throw()
      .with.property("message")
      .not.include("secret");
  });
});

describe("leadingCandidate", () => {
  it("is the smallest sequence number of those in JSON", () => {
    const children = ["log_replicas", "json.info_0000000012", "info_0000000001", "json.info_0000000009"];
    expect(leadingCandidate(children)).to.equal("json.info_0000000009");
    expect(leadingCandidate(["log_replicas"])).to.equal(undefined);
    expect(onlyOldCandidates(["info_0000000001", "log_replicas"])).to.equal(true);
    expect(onlyOldCandidates(children)).to.equal(false);
  });
});

describe("masterBase", () => {
  it("takes the address, or else the process id, and never the number in network order", () => {
    expect(masterBase({ address: { ip: "10.0.0.1", port: 5050 }, ip: 16777343 }, "https")).to.equal(
      "https://10.0.0.1:5050",
    );
    expect(masterBase({ pid: "master@10.0.0.2:5051", ip: 16777343, port: 5050 }, "http")).to.equal(
      "http://10.0.0.2:5051",
    );
    expect(masterBase({ address: { ip: "fd00::1", port: 5050 } }, "http")).to.equal("http://[fd00::1]:5050");
    expect(masterBase({ hostname: "x", port: 5050 }, "http")).to.equal(undefined);
    expect(masterBase(null, "http")).to.equal(undefined);
  });
});
