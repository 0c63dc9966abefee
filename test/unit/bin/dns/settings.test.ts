import { expect } from "chai";
import { type Config, readConfig } from "../../../../bin/config.ts";
import { dnsSettings } from "../../../../bin/dns/settings.ts";
import { endpointText } from "../../../../dns/endpoint.ts";
import { formatIp, formatPrefix } from "../../../../lib/address.ts";

function configWith(env: Readonly<Record<string, string>>): Config {
  return readConfig({ text: undefined, file: "none", env }).config;
}

describe("the settings of the DNS server", () => {
  it("are those of DC/OS when nothing is set", () => {
    const { addresses, listen, untracked, workers } = dnsSettings(configWith({}));
    const own = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "fd01:d::c633:6401"];
    expect(addresses.map(formatIp)).to.deep.equal(own);
    expect(untracked).to.deep.equal(addresses);
    expect(listen.map(({ ip, port }) => [formatIp(ip), port])).to.deep.equal(own.map((ip) => [ip, 53]));
    expect(workers).to.be.within(1, 8);
  });

  it("serve further addresses of the node, each once, without touching how those are tracked", () => {
    const config = configWith({
      DCOS_NET_DNS_ADDRESSES: "198.51.100.1",
      DCOS_NET_DNS_LISTEN: "127.0.0.1, ::1 198.51.100.1",
      DCOS_NET_DNS_PORT: "5353",
      DCOS_NET_DNS_WORKERS: "3",
    });
    const { listen, untracked, workers } = dnsSettings(config);
    expect(listen.map(({ ip, port }) => `${formatIp(ip)} ${port}`)).to.deep.equal([
      "198.51.100.1 5353",
      "127.0.0.1 5353",
      "::1 5353",
    ]);
    expect(untracked.map(formatIp)).to.deep.equal(["198.51.100.1"]);
    expect(workers).to.equal(3);
  });

  it("know where virtual IPs have their addresses, and under which this node is reached from outside", () => {
    const { vipRanges, publicAddresses } = dnsSettings(configWith({}));
    expect([vipRanges.map(formatPrefix), publicAddresses]).to.deep.equal([["11.0.0.0/8", "fd01:c::/64"], []]);
    const other = dnsSettings(
      configWith({
        DCOS_NET_L4LB_POOL: "10.64.0.0-10.64.1.127",
        DCOS_NET_L4LB_POOL6: "",
        DCOS_NET_DNS_PUBLIC_ADDRESSES: "203.0.113.9, 2001:DB8::9",
      }),
    );
    expect(other.vipRanges.map(formatPrefix)).to.deep.equal(["10.64.0.0/24", "10.64.1.0/25"]);
    expect(other.publicAddresses).to.deep.equal(["203.0.113.9", "2001:db8::9"]);
  });

  it("track queries where that is wanted", () => {
    expect(dnsSettings(configWith({ DCOS_NET_DNS_NOTRACK: "off" })).untracked).to.deep.equal([]);
  });

  it("are refused by name when an address is none, and when there is none, or too many", () => {
    expect(() => dnsSettings(configWith({ DCOS_NET_DNS_LISTEN: "10.0.0" })))
      .to.throw("dns_listen")
      .with.property("code", "invalid");
    expect(() => dnsSettings(configWith({ DCOS_NET_DNS_ADDRESSES: "" }))).to.throw("name 0 addresses");
    const many = Array.from({ length: 20 }, (_, index) => `10.0.0.${index}`).join();
    expect(() => dnsSettings(configWith({ DCOS_NET_DNS_ADDRESSES: many }))).to.throw("name 20 addresses");
  });

  it("say who is asked about what, and which names are the operator's own", () => {
    const { upstreams, forwardZones, custom, clusterId, search } = dnsSettings(
      configWith({
        DCOS_NET_DNS_UPSTREAMS: "10.0.0.53,[fd00::53]:5353",
        DCOS_NET_DNS_FORWARD_ZONES: "Corp.example=10.0.0.54,10.0.0.55:5300  lab.example.=fd00::54",
        DCOS_NET_DNS_ALIASES: "registry.component.thisdcos.directory=master.dcos.thisdcos.directory",
        DCOS_NET_DNS_CLUSTER_ID: "c3zs6aubqe",
        DCOS_NET_DNS_SEARCH: "dcos.example corp.example",
      }),
    );
    expect(upstreams?.map(endpointText)).to.deep.equal(["10.0.0.53:53", "[fd00::53]:5353"]);
    expect(forwardZones.map(({ zone, upstreams: list }) => [zone, ...list.map(endpointText)])).to.deep.equal([
      ["corp.example", "10.0.0.54:53", "10.0.0.55:5300"],
      ["lab.example", "[fd00::54]:53"],
    ]);
    expect(custom).to.deep.equal([
      { name: "registry.component.thisdcos.directory", target: "master.dcos.thisdcos.directory" },
    ]);
    expect([clusterId, ...search]).to.deep.equal(["c3zs6aubqe", "dcos.example", "corp.example"]);
    expect(dnsSettings(configWith({})).upstreams).to.equal(undefined);
  });

  for (const [variable, value] of [
    ["DCOS_NET_DNS_UPSTREAMS", "resolver.example"],
    ["DCOS_NET_DNS_FORWARD_ZONES", "corp.example"],
    ["DCOS_NET_DNS_FORWARD_ZONES", "corp.example="],
    ["DCOS_NET_DNS_ALIASES", "www.example.org=a.example"],
    ["DCOS_NET_DNS_ALIASES", "x.l4lb.thisdcos.directory=a.example"],
    ["DCOS_NET_DNS_ALIASES", "thisdcos.directory=a.example"],
    ["DCOS_NET_DNS_SEARCH", "a..b"],
  ] as const) {
    it(`are refused by name for ${variable}=${value}`, () => {
      const key = variable.replace("DCOS_NET_", "").toLowerCase();
      expect(() => dnsSettings(configWith({ [variable]: value })))
        .to.throw(key)
        .with.property("code", "invalid");
    });
  }
});
