import { expect } from "chai";
import fc from "fast-check";
import { decodeFact, encodeFact } from "../../../facts/codec.ts";
import type { Fact } from "../../../facts/fact.ts";
import { LIMIT } from "../../../facts/limit.ts";
import type { Task } from "../../../facts/task.ts";
import { NetError } from "../../../lib/error.ts";
import { assignmentFact, drainFact, nodeFact, sampleTask, statusFact, taskFact, vipFact } from "../../support/facts.ts";

const SAMPLES: readonly Fact[] = [
  nodeFact("node-a", { agents: ["S0"], masterSince: 12, overlayEpoch: 3 }),
  assignmentFact("master-1", "node-a", 3),
  statusFact("node-a", "dcos"),
  taskFact("node-a", sampleTask()),
  taskFact(
    "node-a",
    sampleTask({
      discovery: {
        name: "api",
        visibility: "cluster",
        ports: [{ protocol: "udp", number: 53, scope: "host", name: "dns", network: "dcos" }],
      },
      addresses: [{ address: "fd01:b::2" }, { address: "9.0.1.6" }],
      ports: [
        {
          protocol: "tcp",
          host: 31_000,
          container: 80,
          vips: ["/a:80", "/b:81"],
          balance: { scheduler: "rr", affinity: "300", weight: "2" },
        },
      ],
      agentPorts: [31_000],
    }),
  ),
  vipFact("node-a", "app.marathon", "11.171.172.79"),
  vipFact("node-a", "api.hello-world.marathon", "fd01:c::1"),
  drainFact("node-b", "node", "node-a"),
  drainFact("node-b", "task", "F-0000/app.1"),
];

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const jsonOf = (fact: Fact): Record<string, unknown> => JSON.parse(new TextDecoder().decode(encodeFact(fact)));

/** The message of the refusal, or undefined when the fact is taken. */
function refusal(bytes: Uint8Array): string | undefined {
  try {
    decodeFact(bytes);
    return undefined;
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    expect(error.code).to.equal("invalid");
    return error.message;
  }
}

/** The sample task's fact with one field of the task set to something else. */
function withField(path: readonly string[], value: unknown): Uint8Array {
  const fact = jsonOf(taskFact("node-a", sampleTask()));
  let place: Record<string, unknown> = fact;
  for (const name of path.slice(0, -1)) place = place[name] as Record<string, unknown>;
  place[path.at(-1) ?? ""] = value;
  return bytesOf(fact);
}

/** Everything in a value, and the value itself, as places that can be overwritten. */
function placesOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, inner]) => placesOf(inner, [...path, name]))];
}

/** The object with its keys in reverse order, at every level. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

describe("encodeFact and decodeFact", () => {
  for (const [index, fact] of SAMPLES.entries()) {
    it(`give the ${fact.kind} fact of sample ${index} back as it was`, () => {
      expect(decodeFact(encodeFact(fact))).to.deep.equal(fact);
    });

    it(`give the same bytes for the ${fact.kind} fact of sample ${index} whatever the order of its keys`, () => {
      expect(encodeFact(reversed(fact) as Fact)).to.deep.equal(encodeFact(fact));
      expect(encodeFact(decodeFact(bytesOf(reversed(fact))))).to.deep.equal(encodeFact(fact));
    });
  }

  it("write addresses in canonical text and sets sorted", () => {
    const loose = sampleTask({
      addresses: [{ address: "FD01:B:0::2" }],
      ports: [{ protocol: "tcp", container: 80, vips: ["/b:1", "/a:1", "/b:1"] }],
    });
    const { body } = decodeFact(encodeFact(taskFact("node-a", loose)));
    expect(body).to.deep.include({ addresses: [{ address: "fd01:b::2" }] });
    expect(body).to.have.nested.property("ports[0].vips").that.deep.equals(["/a:1", "/b:1"]);
  });

  it("ignore fields of a newer version", () => {
    const fact = taskFact("node-a", sampleTask());
    expect(decodeFact(bytesOf({ ...fact, colour: "red", body: { ...fact.body, shape: "round" } }))).to.deep.equal(fact);
  });

  it("refuse a fact that is too large, on either side", () => {
    const vips = Array.from({ length: LIMIT.vips }, (_, index) => `/${"x".repeat(900)}${index}:80`);
    const fact = taskFact("node-a", sampleTask({ ports: [{ protocol: "tcp", container: 80, vips }] }));
    expect(() => encodeFact(fact)).to.throw(NetError, /more than 32768/);
    expect(refusal(bytesOf(fact))).to.match(/more than 32768/);
  });

  const REFUSED: readonly (readonly [string, readonly string[], unknown, RegExp])[] = [
    ["an unknown kind", ["kind"], "pod", /kind: expected one of node, assignment, status, task, vip, drain/],
    ["an inherited property as kind", ["kind"], "constructor", /kind: expected one of/],
    ["an owner with a slash", ["owner"], "a/b", /owner: is "a\/b"; expected a node id/],
    ["a version of 0", ["version"], 0, /version: expected a whole number 1 to/],
    ["a version beyond what numbers count exactly", ["version"], 2 ** 53, /version: expected a whole number/],
    ["a fractional time", ["observedAt"], 1.5, /observedAt: expected a whole number/],
    ["a missing task name", ["body", "name"], undefined, /body.name: is missing/],
    ["an empty task id", ["body", "id"], "", /body.id: is empty/],
    ["a name with a line break", ["body", "name"], "a\nb", /body.name: contains a control character/],
    ["half a surrogate pair", ["body", "name"], "\ud800", /body.name: is not valid Unicode/],
    ["an address that isn't one", ["body", "agent", "addresses"], ["10.0.0"], /addresses\[0\]: expected an IP address/],
    [
      "an address list that isn't one",
      ["body", "addresses"],
      { length: 1 },
      /addresses: expected a list, got an object/,
    ],
    ["port 0", ["body", "agentPorts"], [0], /agentPorts\[0\]: expected a whole number 1 to 65535/],
    ["a port without numbers", ["body", "ports"], [{ protocol: "tcp", vips: [] }], /ports\[0\]: has neither/],
    ["an unknown protocol", ["body", "ports", "0", "protocol"], "icmp", /ports\[0\].protocol: expected one of tcp/],
    ["a key of another task", ["key"], "F-0000/app.2", /key: is "F-0000\/app.2", but the content belongs to/],
  ];
  for (const [title, path, value, expected] of REFUSED) {
    it(`refuse ${title}`, () => {
      expect(refusal(withField(path, value))).to.match(expected);
    });
  }

  it("refuse a node fact under another node's key, and an overlay named twice", () => {
    expect(refusal(bytesOf({ ...nodeFact("node-a"), key: "node-b" }))).to.match(/key: is "node-b"/);
    const fact = assignmentFact("master-1", "node-a", 1);
    const twice = { ...fact, body: { ...fact.body, overlays: [...fact.body.overlays, ...fact.body.overlays] } };
    expect(refusal(bytesOf(twice))).to.match(/overlays: names an overlay twice/);
  });

  it("refuse ids that make a key too long for gossip", () => {
    const id = "ü".repeat(200);
    expect(() => encodeFact(taskFact("node-a", sampleTask({ id })))).to.throw(NetError, /key: is longer than 1000/);
    expect(encodeFact(taskFact("node-a", sampleTask({ id: "u".repeat(900) }))).length).to.be.greaterThan(900);
  });

  it("refuse bytes that are not JSON in UTF-8", () => {
    expect(refusal(new Uint8Array())).to.match(/not JSON/);
    expect(refusal(new Uint8Array([0x22, 0xff, 0x22]))).to.match(/not JSON/);
    expect(refusal(bytesOf(null))).to.match(/kind: expected one of/);
  });

  it("either take or refuse with a reason whatever stands in whatever place", () => {
    const samples = SAMPLES.map((fact) => ({ fact, places: placesOf(fact).filter((path) => path.length > 0) }));
    const change = fc
      .constantFrom(...samples)
      .chain(({ fact, places }) => fc.record({ fact: fc.constant(fact), path: fc.constantFrom(...places) }));
    fc.assert(
      fc.property(change, fc.jsonValue(), ({ fact, path }, value) => {
        const changed = jsonOf(fact);
        let place = changed;
        for (const name of path.slice(0, -1)) place = place[name] as Record<string, unknown>;
        place[path.at(-1) ?? ""] = value;
        if (refusal(bytesOf(changed)) !== undefined) return;
        const taken = decodeFact(bytesOf(changed));
        expect(decodeFact(encodeFact(taken))).to.deep.equal(taken);
      }),
      { numRuns: 500 },
    );
  });

  it("either take or refuse with a reason whatever bytes are flipped", () => {
    const position = fc.record({ sample: fc.constantFrom(...SAMPLES), at: fc.nat(), bit: fc.nat(7) });
    fc.assert(
      fc.property(position, ({ sample, at, bit }) => {
        const bytes = encodeFact(sample);
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
        if (refusal(bytes) === undefined) encodeFact(decodeFact(bytes));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps what the tasks of a node have in common in memory once", () => {
    const [first, second, other] = [
      taskFact("node-a", sampleTask({ id: "one" })),
      taskFact("node-a", sampleTask({ id: "two" })),
      taskFact("node-b", sampleTask({ id: "three", agent: { id: "S1", addresses: ["10.0.0.2"] } })),
    ].map((fact) => decodeFact(encodeFact(fact)).body as Task);
    expect(second?.agent).to.equal(first?.agent);
    expect(second?.framework).to.equal(first?.framework);
    expect(other?.agent).to.deep.equal({ id: "S1", addresses: ["10.0.0.2"] });
    expect(first?.agent).to.deep.equal(sampleTask().agent);
  });
});
