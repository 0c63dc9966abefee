import { expect } from "chai";
import { ShapeError } from "../../../../facts/shape.ts";
import { type ContainerInspection, taskOfContainer } from "../../../../facts/sources/docker-task.ts";

const AGENT = { id: "node-a", addresses: ["10.0.0.1"] };

type Changes = Partial<Omit<ContainerInspection, "Config">> & { readonly labels?: Record<string, string> };

function inspection({ labels = { "dcos.task": "web" }, ...rest }: Changes = {}): ContainerInspection {
  return {
    Id: "c1",
    Name: "/web-1",
    State: { Status: "running" },
    Config: { Labels: labels, ExposedPorts: { "80/tcp": {} } },
    HostConfig: { NetworkMode: "default" },
    NetworkSettings: { Ports: {}, Networks: {} },
    ...rest,
  };
}

const taskOf = (changes?: Changes, stopping = false) => taskOfContainer(inspection(changes), AGENT, stopping);

describe("taskOfContainer", () => {
  it("is nothing for containers without our labels, of Mesos, or that don't run", () => {
    expect(taskOf({ labels: {} })).to.equal(undefined);
    expect(taskOf({ labels: { "dcos.task": "web", MESOS_TASK_ID: "web.1" } })).to.equal(undefined);
    for (const Status of ["created", "exited", "dead", "removing"])
      expect(taskOf({ State: { Status } })).to.equal(undefined);
  });

  it("calls a container that waits for its restart preparing, and one that was asked to end killing", () => {
    expect(taskOf({ State: { Status: "restarting" } })?.state).to.equal("preparing");
    expect(taskOf({}, true)?.state).to.equal("killing");
  });

  it("takes the name of the container where a label gives none", () => {
    expect(taskOf({ labels: { VIP_0: "/web:80" } })).to.deep.include({ name: "web-1" });
  });

  it("calls a health check without good news unhealthy, and no check unknown", () => {
    const health = (Status: string) => taskOf({ State: { Status: "running", Health: { Status } } })?.health;
    expect(["healthy", "unhealthy", "starting", "none"].map(health)).to.deep.equal([
      "healthy",
      "unhealthy",
      "unhealthy",
      "unknown",
    ]);
  });

  it("tells addresses of all networks in canonical text, ordered by network", () => {
    const Networks = {
      second: { IPAddress: "10.77.0.9", GlobalIPv6Address: "FD77:0::9" },
      first: { IPAddress: "172.17.0.2", GlobalIPv6Address: "" },
      none: { IPAddress: "" },
      gone: undefined,
    };
    expect(taskOf({ NetworkSettings: { Networks } })?.addresses).to.deep.equal([
      { address: "172.17.0.2", network: "first" },
      { address: "10.77.0.9", network: "second" },
      { address: "fd77::9", network: "second" },
    ]);
  });

  it("is in bridge mode on the default bridge or behind host ports, otherwise in container mode", () => {
    const modeOn = (NetworkMode: string, Ports = {}) =>
      taskOf({ HostConfig: { NetworkMode }, NetworkSettings: { Ports } })?.mode;
    expect(modeOn("default")).to.equal("bridge");
    expect(modeOn("dcos")).to.equal("container");
    expect(modeOn("dcos", { "80/tcp": [{ HostIp: "", HostPort: "31000" }] })).to.equal("bridge");
    expect(modeOn("host")).to.equal("host");
  });

  it("counts a host port that is bound to an address of the node", () => {
    const Ports = {
      "80/tcp": [{ HostIp: "10.0.0.1", HostPort: "31000" }],
      "81/tcp": [{ HostIp: "10.9.9.9", HostPort: "31001" }],
    };
    expect(taskOf({ NetworkSettings: { Ports } })?.ports.map(({ host }) => host)).to.deep.equal([31_000, undefined]);
  });

  it("refuses labels that others would refuse", () => {
    expect(() => taskOf({ labels: { "dcos.task": "a\nb" } })).to.throw(
      ShapeError,
      /name: contains a control character/,
    );
  });
});
