import { expect } from "chai";
import type { Task, TaskPort } from "../../../facts/task.ts";
import { placesOf } from "../../../l4lb/backend.ts";
import { backendName } from "../../../l4lb/service.ts";
import { sampleTask } from "../../support/facts.ts";

const NODE = { id: "S0", addresses: ["10.0.0.1", "10.9.0.1", "fd00::1"] };
const MAPPED: TaskPort = { protocol: "tcp", host: 31_000, container: 80, vips: [] };
const CONTAINER: TaskPort = { protocol: "tcp", container: 80, vips: [] };

function places(said: Partial<Task>, port: TaskPort, isOwn = false): string[] {
  return placesOf(sampleTask({ agent: NODE, ...said }), port, isOwn).map(backendName);
}

describe("the backends of a task", () => {
  const HOST = { mode: "host", addresses: NODE.addresses.map((address) => ({ address })) } as const;
  const V4 = [{ address: "172.17.0.5" }];
  const DUAL = [{ address: "9.0.1.6" }, { address: "fd01:b::6" }, { address: "9.0.1.7" }];
  const CASES: readonly [string, Partial<Task>, TaskPort, elsewhere: string[], own: string[]][] = [
    ["host network", HOST, CONTAINER, ["10.0.0.1:80", "[fd00::1]:80"], ["10.0.0.1:80", "[fd00::1]:80"]],
    [
      "host network without addresses",
      { mode: "host", addresses: [] },
      CONTAINER,
      ["10.0.0.1:80", "[fd00::1]:80"],
      ["10.0.0.1:80", "[fd00::1]:80"],
    ],
    ["bridge of Mesos", { mode: "bridge", addresses: V4 }, MAPPED, ["10.0.0.1:31000"], ["172.17.0.5:80"]],
    [
      "bridge of Docker",
      { mode: "bridge", runtime: "docker", addresses: V4 },
      MAPPED,
      ["10.0.0.1:31000"],
      ["10.0.0.1:31000"],
    ],
    [
      "overlay without host port",
      { addresses: DUAL },
      CONTAINER,
      ["9.0.1.6:80", "[fd01:b::6]:80", "9.0.1.7:80"],
      ["9.0.1.6:80", "[fd01:b::6]:80", "9.0.1.7:80"],
    ],
    [
      "overlay with host port, Mesos",
      { addresses: DUAL },
      MAPPED,
      ["10.0.0.1:31000", "[fd00::1]:31000"],
      ["9.0.1.6:80", "[fd01:b::6]:80"],
    ],
    [
      "overlay with host port, Docker",
      { addresses: DUAL, runtime: "docker" },
      MAPPED,
      ["10.0.0.1:31000", "[fd00::1]:31000"],
      ["10.0.0.1:31000", "[fd00::1]:31000"],
    ],
    [
      "mapped port of a container without known address",
      { mode: "bridge", addresses: [] },
      MAPPED,
      ["10.0.0.1:31000"],
      ["10.0.0.1:31000"],
    ],
    [
      "port that only the node has",
      { mode: "bridge", addresses: V4 },
      { protocol: "tcp", host: 31_000, vips: [] },
      ["10.0.0.1:31000"],
      ["10.0.0.1:31000"],
    ],
    ["container without address", { addresses: [] }, CONTAINER, [], []],
  ];
  for (const [name, said, port, elsewhere, own] of CASES) {
    it(`of ${name} are ${elsewhere.join(", ") || "none"} elsewhere, ${own.join(", ") || "none"} on its node`, () => {
      expect(places(said, port)).to.deep.equal(elsewhere);
      expect(places(said, port, true)).to.deep.equal(own);
    });
  }
});
