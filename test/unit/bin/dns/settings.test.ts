import { expect } from "chai";
import { type Config, readConfig } from "../../../../bin/config.ts";
import { dnsSettings } from "../../../../bin/dns/settings.ts";
import { formatIp } from "../../../../lib/address.ts";

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
});
