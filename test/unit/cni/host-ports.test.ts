import { expect } from "chai";
import { forgetUdpFlows } from "../../../cni/host-ports.ts";
import { openFake } from "../../../kernel/fake.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";

const UDP = 17;
const TCP = 6;
const flow = (
  protocol: number,
  destination: string,
  port: number,
  replySource = destination,
  replySourcePort = port,
) => ({
  protocol,
  source: parseIp(destination.includes(":") ? "2001:db8::99" : "192.0.2.99"),
  sourcePort: 40000,
  destination: parseIp(destination),
  destinationPort: port,
  replySource: parseIp(replySource),
  replySourcePort,
});

/** What is left of the flows after the mappings are forgotten, on a host with address 192.0.2.1. */
function left(flows: readonly ReturnType<typeof flow>[], set: string, key: readonly string[], data: readonly string[]) {
  const kernel = openFake();
  kernel.apply([
    { do: "link.add", link: { kind: "bridge", name: "out", up: true } },
    { do: "address.add", address: { dev: "out", address: parsePrefix("192.0.2.1/24") } },
    { do: "address.add", address: { dev: "out", address: parsePrefix("2001:db8::1/64"), noDad: true } },
  ]);
  for (const each of flows) kernel.addFlow(each);
  forgetUdpFlows(kernel, [{ set, key, data }]);
  return [...kernel.conntrack.list(4), ...kernel.conntrack.list(6)];
}

describe("forgetting UDP flows", () => {
  it("takes those to the port of any host address, translated or not, and those that the container answers", () => {
    const gone = [
      flow(UDP, "192.0.2.1", 53),
      flow(UDP, "192.0.2.1", 53, "10.1.0.9", 5353),
      flow(UDP, "127.0.0.1", 53),
      flow(UDP, "10.1.0.5", 5353),
    ];
    expect(left(gone, "ports", ["udp", "53"], ["10.1.0.5", "5353"])).to.deep.equal([]);
  });

  it("leaves TCP, other ports, and the same port of other machines", () => {
    const kept = [
      flow(TCP, "192.0.2.1", 53),
      flow(UDP, "192.0.2.1", 54),
      flow(UDP, "8.8.8.8", 53),
      flow(UDP, "10.1.0.5", 53),
      flow(UDP, "2001:db8::1", 53),
    ];
    expect(left(kept, "ports", ["udp", "53"], ["10.1.0.5", "5353"])).to.deep.equal(kept);
  });

  it("minds the host address of a mapping that has one", () => {
    const bound = [flow(UDP, "2001:db8::1", 53), flow(UDP, "2001:db8::2", 53)];
    expect(left(bound, "bound", ["2001:db8::2", "udp", "53"], ["fd01::5", "53"])).to.deep.equal([bound[0]]);
  });

  it("does nothing for TCP mappings and for elements of other kinds", () => {
    const kept = [flow(UDP, "192.0.2.1", 53)];
    expect(left(kept, "ports", ["tcp", "53"], ["10.1.0.5", "53"])).to.deep.equal(kept);
    expect(left(kept, "hairpins", ["10.1.0.5", "udp", "53"], ["goto x"])).to.deep.equal(kept);
  });
});
