import { expect } from "chai";
import fc from "fast-check";
import { decodeFact, encodeFact } from "../../../../facts/codec.ts";
import { readDefinitions } from "../../../../facts/sources/file-text.ts";
import type { Task } from "../../../../facts/task.ts";
import { taskFact } from "../../../support/facts.ts";

const AGENT = { id: "node-a", addresses: ["10.0.0.1", "fd00::1"] };

const read = (text: string) => readDefinitions(new TextEncoder().encode(text), "shop", AGENT);

function tasksOf(text: string): readonly Task[] {
  const content = read(text);
  if ("problem" in content) throw new Error(JSON.stringify(content.problem));
  return content.tasks;
}

function problemOf(text: string): { line: number; key: string; said: string } {
  const content = read(text);
  if ("tasks" in content) throw new Error("was taken");
  return content.problem;
}

describe("a file of task definitions", () => {
  it("gives a task with nothing but a name the addresses of its node", () => {
    expect(tasksOf("tasks:\n  - name: probe\n")).to.deep.equal([
      {
        id: "shop.0",
        framework: { id: "file.node-a.file", name: "file" },
        name: "probe",
        discovery: { visibility: "cluster", ports: [] },
        agent: AGENT,
        addresses: [{ address: "10.0.0.1" }, { address: "fd00::1" }],
        mode: "host",
        runtime: "other",
        ports: [],
        agentPorts: [],
        state: "running",
        health: "unknown",
        observer: "node",
      },
    ]);
  });

  it("says all that a task can have", () => {
    const [task] = tasksOf(`
framework: web
tasks:
  - id: shop-1
    name: shop
    runtime: docker
    addresses: [9.0.1.7, { address: "FD01:B::7", network: dcos6 }]
    ports:
      - { name: http, container: 8080, host: 31080, vips: ["/shop:80"] }
      - { protocol: udp, container: 53 }
    state: killing
    health: unhealthy
`);
    expect(task).to.deep.include({
      id: "shop-1",
      framework: { id: "file.node-a.web", name: "web" },
      addresses: [{ address: "9.0.1.7" }, { address: "fd01:b::7", network: "dcos6" }],
      mode: "bridge",
      runtime: "docker",
      ports: [
        { protocol: "tcp", host: 31_080, container: 8080, name: "http", vips: ["/shop:80"] },
        { protocol: "udp", container: 53, vips: [] },
      ],
      agentPorts: [31_080],
      state: "killing",
      health: "unhealthy",
    });
    expect(task?.discovery?.ports).to.deep.equal([
      { protocol: "tcp", number: 31_080, scope: "host", name: "http" },
      { protocol: "udp", number: 53, scope: "container" },
    ]);
  });

  it("takes a port of the node as the task's own in host mode", () => {
    const [task] = tasksOf("tasks: [{ name: a, ports: [{ host: 8080, vips: ['/a:80'] }] }]");
    expect(task?.ports).to.deep.equal([{ protocol: "tcp", container: 8080, vips: ["/a:80"] }]);
  });

  it("is read from JSON as well", () => {
    expect(tasksOf('{"tasks":[{"name":"a","addresses":["9.0.1.7"]}]}')[0]?.mode).to.equal("container");
  });

  it("means the same in JSON, quickly read, as in the YAML that JSON is", () => {
    const text =
      '{"framework":"x\\":","tasks":[{"name":"a\\\\","ports":[{"container":80,"vips":["/a:80"]}]},{"name":"b"}]}';
    expect(tasksOf(text)).to.deep.equal(tasksOf(`# not JSON\n${text}`));
  });

  it("is refused in JSON with line and key as well", () => {
    const problem = problemOf('{\n "tasks": [\n  {"name": "a",\n   "port": 1}]}');
    expect([problem.line, problem.key]).to.deep.equal([4, "tasks[0].port"]);
    expect(problemOf('{"tasks": [],\n "tasks": []}')).to.deep.include({ line: 2, key: "" });
    expect(problemOf('{"tasks": [}')).to.deep.include({ line: 1, key: "" });
  });

  const REFUSED: readonly (readonly [string, string, number, string, RegExp])[] = [
    ["text that isn't YAML", "tasks:\n  - name: [a\n", 3, "", /flow|Flow|]/],
    ["an empty file", "", 1, "", /expected an object, got null/],
    ["an unknown key", "tasks:\n  - name: a\n    port: 1\n", 3, "tasks[0].port", /not a known key; known are id, name/],
    ["a key twice", "tasks: []\ntasks: []\n", 2, "", /[Uu]nique/],
    ["a missing name", "tasks:\n  - id: a\n", 2, "tasks[0].name", /is missing/],
    ["a name that is a number", "tasks:\n  - name: 1\n", 2, "tasks[0].name", /expected text, got number/],
    ["a bad address", "tasks:\n  - name: a\n    addresses:\n      - 9.0.1\n", 4, "tasks[0].addresses[0]", /IP address/],
    ["a port of 0", "tasks:\n- name: a\n  ports:\n  - container: 0\n", 4, "tasks[0].ports[0].container", /1 to 65535/],
    ["a port without number", "tasks:\n- name: a\n  ports:\n  - name: x\n", 4, "tasks[0].ports[0]", /'container' or/],
    [
      "a virtual IP without port",
      "tasks:\n- name: a\n  ports:\n  - container: 80\n    vips: [/a]\n",
      5,
      "tasks[0].ports[0].vips[0]",
      /is not <name or address>:<port>/,
    ],
    [
      "addresses in host mode",
      "tasks:\n- name: a\n  mode: host\n  addresses: [9.0.1.1]\n",
      4,
      "tasks[0].addresses",
      /has the addresses of its node/,
    ],
    ["an id twice", "tasks:\n- {id: a, name: a}\n- {id: a, name: b}\n", 3, "tasks[1].id", /is the id of two tasks/],
  ];
  for (const [title, text, line, key, said] of REFUSED) {
    it(`is refused for ${title}, with line and key`, () => {
      const problem = problemOf(text);
      expect(problem.said).to.match(said);
      expect({ line: problem.line, key: problem.key }).to.deep.equal({ line, key });
    });
  }

  it("is refused when it isn't UTF-8, or grows without bounds through aliases", () => {
    const bytes = readDefinitions(new Uint8Array([0xff]), "x", AGENT);
    expect(bytes).to.deep.equal({ problem: { line: 1, key: "", said: "it is not UTF-8" } });
    const levels = Array.from(
      { length: 12 },
      (_, index) => `l${index + 1}: &l${index + 1} [${`*l${index}, `.repeat(9)}]`,
    );
    expect(problemOf(`l0: &l0 [x]\n${levels.join("\n")}\n`).said).to.match(/alias/i);
  });

  it("never gives a task that others would refuse, whatever stands in it", () => {
    const port = fc.record(
      {
        name: fc.string(),
        protocol: fc.constantFrom("tcp", "udp", "sctp", "icmp"),
        container: fc.integer({ min: 0, max: 70_000 }),
        host: fc.integer({ min: 0, max: 70_000 }),
        vips: fc.array(fc.constantFrom("/a:80", "a", "9.9.9.9:1", ":1", "fd01::1:80")),
      },
      { requiredKeys: [] },
    );
    const task = fc.record(
      {
        name: fc.string(),
        id: fc.string(),
        addresses: fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), { maxLength: 3 }),
        mode: fc.constantFrom("host", "bridge", "container"),
        ports: fc.array(port, { maxLength: 3 }),
      },
      { requiredKeys: ["name"] },
    );
    let taken = 0;
    fc.assert(
      fc.property(fc.array(task, { maxLength: 3 }), (tasks) => {
        const content = read(JSON.stringify({ tasks }));
        if ("problem" in content) return;
        for (const made of content.tasks) {
          const fact = taskFact("node-a", made);
          expect(decodeFact(encodeFact(fact))).to.deep.equal(fact);
          taken += 1;
        }
      }),
      { numRuns: 500 },
    );
    expect(taken).to.be.greaterThan(0);
  });

  it("never throws, whatever its bytes are", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.string().map((text) => new TextEncoder().encode(text)),
        ),
        (bytes) => {
          const content = readDefinitions(bytes, "x", AGENT);
          if ("problem" in content) expect(content.problem.line).to.be.greaterThan(0);
        },
      ),
      { numRuns: 500 },
    );
  });
});
