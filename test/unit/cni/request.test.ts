import { expect } from "chai";
import { readMesosNetworkInfo, readRuntimeRequest } from "../../../cni/request.ts";
import { parseIp, parsePrefix } from "../../../lib/address.ts";
import { netErrorOf } from "../../support/ipam-scratch.ts";

const runtime = (fields: Record<string, unknown>) => readRuntimeRequest({ at: "", fields });
const mesos = (info: unknown) =>
  readMesosNetworkInfo({ at: "", fields: { args: { "org.apache.mesos": { network_info: info } } } });

describe("readRuntimeRequest", () => {
  it("is empty when the runtime wishes nothing", () => {
    const nothing = { portMappings: [], ips: [], ipRanges: [], mac: undefined };
    expect(runtime({})).to.deep.equal(nothing);
    expect(runtime({ runtimeConfig: null, args: {} })).to.deep.equal(nothing);
  });

  it("reads port mappings with the defaults and any case of the protocol", () => {
    const portMappings = [
      { hostPort: 8080, containerPort: 80, protocol: "TCP" },
      { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "10.0.0.1" },
      { hostPort: 1, containerPort: 65535, protocol: "", hostIP: "" },
    ];
    expect(runtime({ runtimeConfig: { portMappings } }).portMappings).to.deep.equal([
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 53, containerPort: 53, protocol: "udp", hostIp: parseIp("10.0.0.1") },
      { hostPort: 1, containerPort: 65535, protocol: "tcp" },
    ]);
  });

  it("appends the addresses of runtimeConfig to those of args", () => {
    const request = runtime({
      args: { cni: { ips: ["10.1.0.5/16"] } },
      runtimeConfig: { ips: ["10.1.0.6", "fd01::5/64"] },
    });
    expect(request.ips).to.deep.equal([parseIp("10.1.0.5"), parseIp("10.1.0.6"), parseIp("fd01::5")]);
  });

  it("prefers the hardware address of runtimeConfig", () => {
    const args = { cni: { mac: "02:00:00:00:00:01" } };
    expect(runtime({ args }).mac).to.equal("02:00:00:00:00:01");
    expect(runtime({ args, runtimeConfig: { mac: "02:00:00:00:00:02" } }).mac).to.equal("02:00:00:00:00:02");
  });

  it("reads range sets", () => {
    const ipRanges = [
      [{ subnet: "10.1.0.0/24", rangeStart: "10.1.0.9", gateway: "10.1.0.254" }],
      [{ subnet: "fd01::/64" }],
    ];
    expect(runtime({ runtimeConfig: { ipRanges } }).ipRanges).to.deep.equal([
      [{ subnet: parsePrefix("10.1.0.0/24"), rangeStart: parseIp("10.1.0.9"), gateway: parseIp("10.1.0.254") }],
      [{ subnet: parsePrefix("fd01::/64") }],
    ]);
  });

  const bad: readonly [string, Record<string, unknown>][] = [
    ["runtimeConfig", { runtimeConfig: 5 }],
    ["runtimeConfig.portMappings", { runtimeConfig: { portMappings: {} } }],
    ["runtimeConfig.portMappings[0].hostPort", { runtimeConfig: { portMappings: [{ containerPort: 80 }] } }],
    [
      "runtimeConfig.portMappings[0].hostPort",
      { runtimeConfig: { portMappings: [{ hostPort: 0, containerPort: 80 }] } },
    ],
    [
      "runtimeConfig.portMappings[0].containerPort",
      { runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 65536 }] } },
    ],
    [
      "runtimeConfig.portMappings[0].protocol",
      { runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 1, protocol: "icmp" }] } },
    ],
    [
      "runtimeConfig.portMappings[0].hostIP",
      { runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 1, hostIP: "host" }] } },
    ],
    ["runtimeConfig.ips[0]", { runtimeConfig: { ips: ["x"] } }],
    ["runtimeConfig.ipRanges[0][0].subnet", { runtimeConfig: { ipRanges: [[{}]] } }],
    ["runtimeConfig.ipRanges[0]", { runtimeConfig: { ipRanges: [{ subnet: "10.0.0.0/8" }] } }],
    ["runtimeConfig.mac", { runtimeConfig: { mac: "x" } }],
    ["args.cni.ips", { args: { cni: { ips: "10.1.0.5" } } }],
  ];
  for (const [place, fields] of bad) {
    it(`refuses ${JSON.stringify(fields)}`, () => {
      expect(netErrorOf(() => runtime(fields)).message).to.contain(`cannot read ${place}: `);
    });
  }
});

describe("readMesosNetworkInfo", () => {
  it("is undefined when another runtime calls", () => {
    expect(readMesosNetworkInfo({ at: "", fields: {} })).to.equal(undefined);
    expect(readMesosNetworkInfo({ at: "", fields: { args: { cni: {} } } })).to.equal(undefined);
  });

  it("reads what Mesos hands over", () => {
    const info = {
      name: "dcos",
      groups: ["g"],
      labels: { labels: [{ key: "app", value: "web" }, { key: "bare" }] },
      port_mappings: [
        { host_port: 8080, container_port: 80, protocol: "tcp" },
        { host_port: 8081, container_port: 81 },
      ],
      ip_addresses: [{ protocol: "IPv4" }, { protocol: "IPv4", ip_address: "9.0.1.7" }],
    };
    expect(mesos(info)).to.deep.equal({
      name: "dcos",
      groups: ["g"],
      labels: [
        { key: "app", value: "web" },
        { key: "bare", value: undefined },
      ],
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 8081, containerPort: 81, protocol: "tcp" },
      ],
      ips: [parseIp("9.0.1.7")],
    });
  });

  it("reads the least that Mesos hands over", () => {
    const empty = { groups: [], labels: [], portMappings: [], ips: [] };
    expect(mesos({ name: "dcos6" })).to.deep.equal({ name: "dcos6", ...empty });
    expect(mesos({})).to.deep.equal({ name: undefined, ...empty });
  });

  const bad: readonly [string, unknown][] = [
    ["network_info", 5],
    ["network_info.name", { name: 5 }],
    ["network_info.port_mappings[0].host_port", { port_mappings: [{ container_port: 80 }] }],
    ["network_info.ip_addresses[0].ip_address", { ip_addresses: [{ ip_address: "x" }] }],
    ["network_info.labels.labels[0].key", { labels: { labels: [{}] } }],
  ];
  for (const [place, info] of bad) {
    it(`refuses ${JSON.stringify(info)}`, () => {
      expect(netErrorOf(() => mesos(info)).message).to.contain(`cannot read args.org.apache.mesos.${place}: `);
    });
  }
});
