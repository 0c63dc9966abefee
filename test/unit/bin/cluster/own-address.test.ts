import { expect } from "chai";
import { ownAddresses } from "../../../../bin/cluster/own-address.ts";
import { openFake } from "../../../../kernel/fake.ts";
import { parseIp, parsePrefix } from "../../../../lib/address.ts";

/** A host with one address of each family on eth0, and a tunnel. */
function host() {
  const kernel = openFake();
  kernel.apply([
    { do: "link.add", link: { kind: "veth", name: "eth0", up: true, peer: { name: "eth1" } } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix("10.0.0.1/24") } },
    { do: "address.add", address: { dev: "eth0", address: parsePrefix("fd00::1/64"), noDad: true } },
    { do: "link.add", link: { kind: "bridge", name: "m-dcos", up: true, alias: "dcos-net overlay dcos" } },
    { do: "address.add", address: { dev: "m-dcos", address: parsePrefix("9.0.0.1/25") } },
  ]);
  return kernel;
}

async function refusal(advertise: string): Promise<string> {
  try {
    await ownAddresses(host(), advertise, "192.0.2.1");
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "none";
}

describe("the address of a node", () => {
  it("is the one that is set, with the IPv6 address of the same link", async () => {
    expect(await ownAddresses(host(), "10.0.0.1", "192.0.2.1")).to.deep.equal({
      address: parseIp("10.0.0.1"),
      address6: parseIp("fd00::1"),
    });
  });

  for (const [advertise, what] of [
    ["10.0.0.2", "of another host"],
    ["9.0.0.1", "of the overlay's own bridge"],
    ["fd00::1", "of IPv6, as the tunnel runs over IPv4"],
    ["eth0", "that is none"],
  ] as const) {
    it(`can't be one ${what}; the refusal names those that it can be`, async () => {
      expect(await refusal(advertise)).to.match(/this host has: 10\.0\.0\.1 \(eth0\); set advertise_address/);
    });
  }
});
