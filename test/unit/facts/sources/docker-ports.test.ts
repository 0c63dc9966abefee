import { expect } from "chai";
import { ShapeError } from "../../../../facts/shape.ts";
import { type ContainerPort, containerPorts, labelledPorts } from "../../../../facts/sources/docker-ports.ts";

const everywhere = (hostIp: string): boolean => hostIp !== "127.0.0.1";
const HTTP: ContainerPort = { protocol: "tcp", container: 8080 };
const DNS: ContainerPort = { protocol: "udp", container: 53 };

describe("containerPorts", () => {
  it("takes a port that is bound for IPv4 and IPv6 as one", () => {
    const map = {
      "80/tcp": [
        { HostIp: "0.0.0.0", HostPort: "31000" },
        { HostIp: "::", HostPort: "31000" },
      ],
    };
    expect(containerPorts(map, everywhere)).to.deep.equal([{ protocol: "tcp", container: 80, host: 31_000 }]);
  });

  it("gives a port that is published twice twice, and one that is only exposed without host port", () => {
    const map = { "53/udp": null, "80/tcp": [{ HostPort: "31001" }, { HostPort: "31000" }] };
    expect(containerPorts(map, everywhere)).to.deep.equal([
      { protocol: "udp", container: 53 },
      { protocol: "tcp", container: 80, host: 31_000 },
      { protocol: "tcp", container: 80, host: 31_001 },
    ]);
  });

  it("leaves out what isn't a port, and host ports that nobody reaches", () => {
    const map = {
      "80/icmp": null,
      "x/tcp": null,
      "90/tcp": [{ HostIp: "127.0.0.1", HostPort: "9" }, { HostPort: "" }],
    };
    expect(containerPorts(map, everywhere)).to.deep.equal([{ protocol: "tcp", container: 90 }]);
  });
});

describe("labelledPorts", () => {
  const vipsOf = (ports: readonly ContainerPort[], labels: Record<string, string>) =>
    labelledPorts(ports, labels).map(({ protocol, container, vips }) => [`${container}/${protocol}`, ...vips]);

  it("puts a virtual IP on the only port", () => {
    expect(vipsOf([HTTP], { VIP_0: "/shop:80" })).to.deep.equal([["8080/tcp", "/shop:80"]]);
    const twice = [
      { ...HTTP, host: 31_000 },
      { ...HTTP, host: 31_001 },
    ];
    expect(vipsOf(twice, { VIP_0: "/shop:80" })[0]).to.deep.equal(["8080/tcp", "/shop:80"]);
  });

  it("puts it on the port that the label names, exposed or not", () => {
    const labels = { VIP_0: "/shop:80", "VIP_0.port": "8080", VIP_1: "/dns:53", "VIP_1.port": "53/udp" };
    expect(vipsOf([HTTP, DNS], labels)).to.deep.equal([
      ["53/udp", "/dns:53"],
      ["8080/tcp", "/shop:80"],
    ]);
    expect(vipsOf([HTTP], { VIP_0: "/x:1", "VIP_0.port": "9000" })).to.deep.equal([["8080/tcp"], ["9000/tcp", "/x:1"]]);
  });

  it("puts it on the ports of its own number among several, whatever their protocol", () => {
    const dns = { protocol: "tcp", container: 53 } as const;
    expect(vipsOf([HTTP, DNS, dns], { vip: "10.1.2.3:53" })).to.deep.equal([
      ["53/tcp", "10.1.2.3:53"],
      ["53/udp", "10.1.2.3:53"],
      ["8080/tcp"],
    ]);
  });

  it("makes the port of a container that exposes none", () => {
    expect(vipsOf([], { VIP_0: "fd01::1:80" })).to.deep.equal([["80/tcp", "fd01::1:80"]]);
  });

  it("names ports", () => {
    const ports = labelledPorts([HTTP, DNS], { "dcos.port.8080": "http", "dcos.port.53/udp": "dns" });
    expect(ports.map(({ name }) => name)).to.deep.equal(["dns", "http"]);
  });

  it("ignores labels of others", () => {
    expect(vipsOf([HTTP], { Vip_0: "/a:1", vendor: "x", "com.example.VIP_0": "/a:1" })).to.deep.equal([["8080/tcp"]]);
  });

  const REFUSED: readonly (readonly [string, Record<string, string>, string, RegExp])[] = [
    ["a virtual IP without port", { VIP_0: "/shop" }, "VIP_0", /is not <name or address>:<port>/],
    ["a virtual IP with port 0", { VIP_0: "/shop:0" }, "VIP_0", /is not <name or address>:<port>/],
    ["a virtual IP with a port that is too large", { VIP_0: "/shop:65536" }, "VIP_0", /is not <name/],
    ["a virtual IP without name", { VIP_0: ":80" }, "VIP_0", /is not <name or address>:<port>/],
    [
      "one of several ports without saying which",
      { VIP_0: "/shop:80" },
      "VIP_0",
      /ports 8080\/tcp, 53\/udp: say which/,
    ],
    ["a port that isn't one", { VIP_0: "/shop:80", "VIP_0.port": "http" }, "VIP_0.port", /is not a port such as/],
    ["a name of a port that isn't one", { "dcos.port.0": "http" }, "dcos.port.0", /is not a port such as/],
  ];
  for (const [title, labels, label, said] of REFUSED) {
    it(`refuses ${title}`, () => {
      expect(() => labelledPorts([HTTP, DNS], labels))
        .to.throw(ShapeError, said)
        .with.property("at", label);
    });
  }
});
