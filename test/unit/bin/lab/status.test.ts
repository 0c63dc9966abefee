import { expect } from "chai";
import { countersOf, type LabNodeStatus, labStatusLines } from "../../../../bin/lab/status.ts";

const NET_DEV = `Inter-|   Receive                            |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:       1    2    0    0    0     0          0         0     3       4    0    0    0     0       0          0
vtep1024:10485760 7777  0    0    0     0          0         0 123456    789    0    0    0     0       0          0
`;

function node(name: string, healthy: boolean): LabNodeStatus {
  return {
    name,
    address: "10.77.0.1",
    agent: { pid: 7, healthy, news: healthy ? [] : ["something is wrong"] },
    cluster: undefined,
    peers: 1,
    repairs: 0,
    lastSuccessAgeMs: 1000,
    mtu: 1450,
    tunnel: undefined,
  };
}

describe("the status of a lab", () => {
  it("reads a link's counters, also where the name touches the number", () => {
    expect(countersOf(NET_DEV, "vtep1024")).to.deep.equal({
      link: "vtep1024",
      receivedBytes: 10_485_760,
      receivedPackets: 7777,
      sentBytes: 123_456,
      sentPackets: 789,
    });
    expect(countersOf(NET_DEV, "vtep1")).to.equal(undefined);
  });

  it("shows bad news and unhealthy hosts first", () => {
    const nodes = [node("n1", true), node("n2", false)];
    const lines = labStatusLines({ name: "x", healthy: false, nodes, containers: [] });
    expect(lines[0]).to.equal("n2: something is wrong");
    expect(lines[2]).to.match(/^n2 .*NOT HEALTHY/);
    expect(lines[3]).to.match(/^n1 .*healthy \(7\)/);
  });
});
