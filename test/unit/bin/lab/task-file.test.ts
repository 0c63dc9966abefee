import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type LabTask, removeTaskFile, writeTaskFile } from "../../../../bin/lab/task-file.ts";
import { tasksOf } from "../../../../facts/sources/file-definition.ts";
import { linuxFiles } from "../../../../kernel/file.ts";

const AGENT = { id: "n1", addresses: ["10.77.0.1"] };

describe("the task file of a lab's container", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-task-file-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function taskOf(changes: Partial<LabTask>) {
    const whole = { container: "web1", name: "web", addresses: ["9.0.0.2", "fd01:b::2"], publish: [], vips: [] };
    writeTaskFile(linuxFiles, directory, { ...whole, ...changes });
    const [name = ""] = readdirSync(directory);
    const [task] = tasksOf(JSON.parse(readFileSync(join(directory, name), "utf8")), name, AGENT);
    return task;
  }

  it("makes a running task at the container's own addresses", () => {
    const { id, name, framework, addresses, state, mode } = taskOf({}) ?? {};
    expect({ id, name, framework: framework?.name, state, mode }).to.deep.equal({
      ...{ id: "web1", name: "web", framework: "lab", state: "running", mode: "container" },
    });
    expect(addresses?.map(({ address }) => address)).to.deep.equal(["9.0.0.2", "fd01:b::2"]);
  });

  it("has the mapped ports, and puts the labels of virtual IPs on the container's ports", () => {
    const publish = [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" as const },
      { hostPort: 5353, containerPort: 53, protocol: "udp" as const },
      { hostPort: 9999, containerPort: 99, protocol: "sctp" as const },
    ];
    expect(taskOf({ publish, vips: ["other:80", "web:80", "/admin:81"] })?.ports).to.deep.equal([
      { protocol: "tcp", container: 80, host: 8080, vips: ["other:80", "web:80"] },
      { protocol: "udp", container: 53, host: 5353, vips: [] },
      { protocol: "tcp", container: 81, vips: ["/admin:81"] },
    ]);
  });

  it("goes once", () => {
    taskOf({});
    expect(removeTaskFile(linuxFiles, directory, "web1")).to.equal(true);
    expect(removeTaskFile(linuxFiles, directory, "web1")).to.equal(false);
  });
});
