import { expect } from "chai";
import fc from "fast-check";
import { STDIN_LIMIT } from "../../../cni/answer.ts";
import { CniError } from "../../../cni/error.ts";
import type { Call, Plugin } from "../../../cni/protocol.ts";
import { CNI_VERSIONS } from "../../../cni/version.ts";
import { parsePrefix } from "../../../lib/address.ts";
import { NetError } from "../../../lib/error.ts";
import { type CallInput, callPlugin, cniMachine, errorOf, NETNS, recordingPlugin } from "../../support/cni-host.ts";

const NEWEST = { name: "net", cniVersion: "1.1.0" };

/** Calls a recording plugin and tells what came of it. */
function call(input: CallInput, overrides: Partial<Plugin> = {}) {
  const { plugin, reached } = recordingPlugin(overrides);
  return { ...callPlugin(plugin, input), reached };
}

/** What the plugin is handed. */
function handed(input: CallInput): Call {
  const calls: Call[] = [];
  const keep = (one: Call) => void calls.push(one);
  call(input, {
    add: (one) => {
      keep(one);
      return { interfaces: [], ips: [], routes: [], dns: {} };
    },
    del: keep,
    check: keep,
    gc: keep,
    status: keep,
  });
  const [first] = calls;
  if (first === undefined) throw new Error("the plugin was not reached");
  return first;
}

describe("serve", () => {
  describe("without CNI_COMMAND", () => {
    for (const command of [undefined, ""]) {
      it(`introduces the plugin on standard error and succeeds (${command === "" ? "empty" : "missing"})`, () => {
        const outcome = call({ env: { CNI_COMMAND: command }, stdin: "garbage" });
        expect(outcome).to.include({ exitCode: 0, stdout: "" });
        expect(outcome.stderr).to.equal(
          `recorder: notes what reaches it\nCNI protocol versions supported: ${CNI_VERSIONS.join(", ")}\n`,
        );
        expect([outcome.reached, outcome.log]).to.deep.equal([[], []]);
      });
    }
  });

  describe("for VERSION", () => {
    it("answers without reading standard input or reaching the plugin", () => {
      const readStdin = () => {
        throw new Error("VERSION read its input");
      };
      const outcome = call({
        env: { CNI_COMMAND: "VERSION", CNI_CONTAINERID: "-", CNI_PATH: "" },
        host: { readStdin },
      });
      expect(outcome).to.include({ exitCode: 0, stderr: "" });
      expect(JSON.parse(outcome.stdout)).to.deep.equal({ cniVersion: "1.1.0", supportedVersions: [...CNI_VERSIONS] });
      expect(outcome.reached).to.deep.equal([]);
    });
  });

  describe("for a call that it refuses", () => {
    const refusals: readonly [string, CallInput, number, string, string?][] = [
      ["an unknown command", { env: { CNI_COMMAND: "FOO" }, stdin: "" }, 4, "unknown CNI_COMMAND: FOO"],
      [
        "missing variables",
        { env: { CNI_NETNS: "", CNI_PATH: undefined } },
        4,
        "required env variables [CNI_NETNS,CNI_PATH] missing",
      ],
      ["a bad container id", { env: { CNI_CONTAINERID: "-c" } }, 4, "invalid characters in containerID", "-c"],
      [
        "a long interface name",
        { env: { CNI_IFNAME: "a234567890123456" } },
        4,
        "interface name is too long",
        "interface name should be less than 16 characters",
      ],
      ["no name", { stdin: {} }, 7, "missing network name"],
      ["an empty name", { stdin: { name: "" } }, 7, "missing network name"],
      ["a bad name", { stdin: { name: "a b" } }, 7, "invalid characters found in network name", "a b"],
      ["a name that is a number", { stdin: { name: 5 } }, 6, "cannot read name: it is 5; give a string"],
      [
        "a version that is a number",
        { stdin: { name: "n", cniVersion: 1 } },
        6,
        "cannot read cniVersion: it is 1; give a string",
      ],
      [
        "an unknown version",
        { stdin: { name: "n", cniVersion: "9.9.9" } },
        1,
        "incompatible CNI versions",
        `config is "9.9.9", plugin supports [${CNI_VERSIONS.map((version) => `"${version}"`).join(" ")}]`,
      ],
      [
        "CHECK before 0.4.0",
        { env: { CNI_COMMAND: "CHECK" }, stdin: { name: "n", cniVersion: "0.3.1" } },
        1,
        "config version does not allow CHECK",
        'config is "0.3.1", CHECK came with "0.4.0"',
      ],
      [
        "CHECK without a version",
        { env: { CNI_COMMAND: "CHECK" } },
        1,
        "config version does not allow CHECK",
        'config is "0.1.0", CHECK came with "0.4.0"',
      ],
      [
        "GC before 1.1.0",
        { env: { CNI_COMMAND: "GC" }, stdin: { name: "n", cniVersion: "1.0.0" } },
        1,
        "config version does not allow GC",
        'config is "1.0.0", GC came with "1.1.0"',
      ],
      [
        "STATUS before 1.1.0",
        { env: { CNI_COMMAND: "STATUS" }, stdin: { name: "n", cniVersion: "1.0.0" } },
        1,
        "config version does not allow STATUS",
        'config is "1.0.0", STATUS came with "1.1.0"',
      ],
      [
        "an input that is too large",
        { stdin: `{"name":"n"${" ".repeat(STDIN_LIMIT)}}` },
        5,
        "cannot read standard input: it is larger than 1048576 bytes",
      ],
      [
        "a log file that is no absolute path",
        { stdin: { name: "n", dcosNet: { logFile: "cni.log" } } },
        7,
        'cannot read dcosNet.logFile: it is "cni.log"',
        "give an absolute path",
      ],
      [
        "a malformed list of attachments",
        { env: { CNI_COMMAND: "GC" }, stdin: { ...NEWEST, "cni.dev/valid-attachments": "" } },
        7,
        'cannot read cni.dev/valid-attachments: it is ""',
        "give a list",
      ],
    ];
    for (const [what, input, code, msg, details] of refusals) {
      it(`prints code ${code} for ${what}, and nothing reaches the plugin`, () => {
        const outcome = call(input);
        const { cniVersion, ...rest } = errorOf(outcome);
        expect(rest).to.deep.equal({ code, msg, ...(details === undefined ? {} : { details }) });
        expect(CNI_VERSIONS).to.include(cniVersion);
        expect(outcome.reached).to.deep.equal([]);
        expect(outcome.stderr).to.equal("");
      });
    }

    it("judges the environment before standard input", () => {
      expect(errorOf(call({ env: { CNI_CONTAINERID: "-" }, stdin: "" })).code).to.equal(4);
    });

    it("prints the configuration's version in the error once it is known, else the newest", () => {
      const add = () => {
        throw new CniError(3, "gone");
      };
      expect(errorOf(call({ stdin: { name: "n", cniVersion: "0.3.1" } }, { add })).cniVersion).to.equal("0.3.1");
      expect(errorOf(call({ stdin: { name: "n" } }, { add })).cniVersion).to.equal("0.1.0");
      expect(errorOf(call({ stdin: "{" }, { add })).cniVersion).to.equal("1.1.0");
    });
  });

  describe("for a call that it accepts", () => {
    const verbs = ["ADD", "DEL", "CHECK", "GC", "STATUS"];
    for (const verb of verbs) {
      it(`hands ${verb} to the plugin once`, () => {
        const outcome = call({ env: { CNI_COMMAND: verb }, stdin: { ...NEWEST, "cni.dev/valid-attachments": [] } });
        expect([outcome.exitCode, outcome.reached, outcome.stderr]).to.deep.equal([0, [verb], ""]);
        expect(outcome.stdout === "").to.equal(verb !== "ADD");
      });
    }

    it("succeeds for verbs that the plugin hasn't", () => {
      for (const verb of ["CHECK", "GC", "STATUS"]) {
        const { plugin } = recordingPlugin();
        const { name, about, add, del } = plugin;
        const input = { env: { CNI_COMMAND: verb }, stdin: { ...NEWEST, "cni.dev/valid-attachments": [] } };
        expect(callPlugin({ name, about, add, del }, input)).to.include({ exitCode: 0, stdout: "" });
      }
    });

    it("prints the result in the configuration's version, and 0.1.0 without one", () => {
      const add = () => ({ interfaces: [], ips: [{ address: parsePrefix("10.1.0.5/16") }], routes: [], dns: {} });
      expect(JSON.parse(call({ stdin: { name: "n" } }, { add }).stdout)).to.deep.equal({
        cniVersion: "0.1.0",
        ip4: { ip: "10.1.0.5/16" },
        dns: {},
      });
      expect(JSON.parse(call({ stdin: { name: "n", cniVersion: "0.3.1" } }, { add }).stdout)).to.deep.equal({
        cniVersion: "0.3.1",
        ips: [{ version: "4", address: "10.1.0.5/16" }],
        dns: {},
      });
    });

    it("hands over what the runtime said, checked", () => {
      const stdin = '{"NAME":"net", "CNIVERSION":"1.0.0", "other":1}';
      const one = handed({ stdin, env: { CNI_ARGS: "IP=10.1.0.5" } });
      expect(one).to.include({
        verb: "ADD",
        containerId: "c1",
        ifname: "eth0",
        args: "IP=10.1.0.5",
        network: "net",
        version: "1.0.0",
        stdin,
        netnsPath: NETNS,
        attachments: undefined,
      });
      expect(one.path).to.deep.equal(["/opt/cni/bin"]);
      expect(one.netns?.path).to.equal(NETNS);
      expect(one.config.fields["other"]).to.equal(1);
    });

    it("hands DEL no namespace when it is not given or gone", () => {
      for (const path of [undefined, "", "/run/netns/gone"]) {
        expect(handed({ env: { CNI_COMMAND: "DEL", CNI_NETNS: path } }).netns).to.equal(undefined);
      }
    });

    it("opens no namespace for GC and STATUS, whose variables libcni leaves empty or stale", () => {
      const kernel = () => {
        throw new Error("the kernel was opened");
      };
      for (const verb of ["GC", "STATUS"]) {
        const stdin = { ...NEWEST, "cni.dev/valid-attachments": [] };
        expect(call({ env: { CNI_COMMAND: verb }, stdin, host: { kernel } }).exitCode).to.equal(0);
      }
    });

    it("closes the namespace however the call ends", () => {
      for (const fails of [false, true]) {
        const machine = cniMachine();
        let closed = 0;
        const openNetns = (path: string) => {
          const netns = machine.openNetns(path);
          return netns && { path: netns.path, id: netns.id, close: () => void closed++ };
        };
        const kernel = new Proxy(machine, {
          get: (target, key) => (key === "openNetns" ? openNetns : Reflect.get(target, key, target)),
        });
        const add = () => {
          if (fails) throw new CniError(3, "gone");
          return { interfaces: [], ips: [], routes: [], dns: {} };
        };
        expect(call({ kernel, stdin: NEWEST }, { add }).exitCode).to.equal(fails ? 1 : 0);
        expect(closed).to.equal(1);
      }
    });
  });

  describe("when CNI_NETNS is the runtime's own namespace", () => {
    const inside = (verb: string, override?: string) => {
      const machine = cniMachine();
      const netns = machine.openNetns(NETNS);
      if (netns === undefined) throw new Error("the fake has no container");
      const kernel = machine.within(netns);
      return call({ kernel, env: { CNI_COMMAND: verb, CNI_NETNS_OVERRIDE: override }, stdin: NEWEST });
    };
    for (const verb of ["ADD", "DEL"]) {
      it(`refuses ${verb} with code 8 before anything is done`, () => {
        const outcome = inside(verb);
        expect(errorOf(outcome)).to.include({
          code: 8,
          msg: "plugin's netns and netns from CNI_NETNS should not be the same",
        });
        expect(outcome.reached).to.deep.equal([]);
      });
    }

    it("allows it with CNI_NETNS_OVERRIDE, and to CHECK, which only looks", () => {
      expect(inside("ADD", "TRUE").reached).to.deep.equal(["ADD"]);
      expect(inside("DEL", "1").reached).to.deep.equal(["DEL"]);
      expect(inside("CHECK").reached).to.deep.equal(["CHECK"]);
      expect(inside("ADD", "0").reached).to.deep.equal([]);
    });
  });

  describe("for GC", () => {
    const gc = (fields: object) => ({ env: { CNI_COMMAND: "GC", CNI_NETNS: "" }, stdin: { ...NEWEST, ...fields } });

    it("removes nothing when the runtime gave no list, and says so in the log", () => {
      const outcome = call(gc({}));
      expect([outcome.exitCode, outcome.reached]).to.deep.equal([0, []]);
      expect(outcome.log[0]?.["notes"]).to.deep.equal([
        "the runtime gave no list of valid attachments: nothing was removed",
      ]);
    });

    it("hands over the attachments", () => {
      const list = [{ containerID: "c1", ifname: "eth0" }];
      expect(handed(gc({ "cni.dev/valid-attachments": list })).attachments).to.deep.equal([
        { containerId: "c1", ifname: "eth0" },
      ]);
      expect(handed(gc({ "cni.dev/valid-attachments": null })).attachments).to.deep.equal([]);
    });
  });

  describe("when the plugin throws", () => {
    const failing = (error: unknown): Partial<Plugin> => ({
      add: () => {
        throw error;
      },
    });

    it("prints the number of a NetError", () => {
      const error = new NetError("conflict", {
        tried: "map host port 80",
        said: "held by c2",
        remedy: "choose another",
      });
      expect(errorOf(call({ stdin: NEWEST }, failing(error)))).to.deep.equal({
        cniVersion: "1.1.0",
        code: 112,
        msg: "cannot map host port 80: held by c2",
        details: "choose another",
      });
    });

    it("prints a mistake of ours as internal error, with its stack on standard error", () => {
      const outcome = call({ stdin: NEWEST }, failing(new TypeError("x is undefined")));
      expect(errorOf(outcome)).to.include({ code: 110, msg: "internal error: x is undefined" });
      expect(outcome.stderr).to.contain("TypeError").and.to.contain("serve.test.ts");
    });

    it("fails with one error document when the result has no form in the configuration's version", () => {
      expect(errorOf(call({ stdin: { name: "n" } })).msg).to.equal("cannot convert: no valid IP addresses");
    });

    it("prints numbers of 50 and above for STATUS when addresses are exhausted", () => {
      const status = () => {
        throw new NetError("exhausted", { tried: "lease an address" });
      };
      expect(errorOf(call({ env: { CNI_COMMAND: "STATUS" }, stdin: NEWEST }, { status })).code).to.equal(50);
    });
  });

  describe("when its own streams fail", () => {
    const broken = () => {
      throw new NetError("io", { tried: "write standard output", said: "EPIPE", errno: "EPIPE" });
    };

    it("fails, and logs why, when standard output is closed", () => {
      const outcome = call({ stdin: NEWEST, host: { writeStdout: broken } });
      expect(outcome.exitCode).to.equal(1);
      expect(outcome.log[0]).to.include({ outcome: "error", code: 5 });
      expect(outcome.log[0]?.["notes"]).to.deep.equal([
        "the error could not be printed: cannot write standard output: EPIPE",
      ]);
    });

    it("does not need standard error", () => {
      expect(call({ env: { CNI_COMMAND: "" }, host: { writeStderr: broken } }).exitCode).to.equal(0);
    });
  });

  describe("and its log", () => {
    it("has one line for each call, successful or not", () => {
      const [line, ...more] = call({ env: { CNI_COMMAND: "DEL" } }).log;
      expect(more).to.deep.equal([]);
      expect(line).to.deep.equal({
        time: "2026-01-02T00:00:00.000Z",
        level: "info",
        component: "cni",
        event: "call",
        plugin: "recorder",
        verb: "DEL",
        container: "c1",
        network: "net",
        ifname: "eth0",
        durationUs: 1500,
        outcome: "ok",
      });
      const [failed] = call({ env: { CNI_COMMAND: "FOO" }, stdin: "" }).log;
      expect(failed).to.include({
        verb: "FOO",
        container: "c1",
        outcome: "error",
        code: 4,
        message: "unknown CNI_COMMAND: FOO",
      });
    });

    it("goes to the default file, or to the one that the configuration names", () => {
      expect([...call({}).appended.keys()]).to.deep.equal(["/var/log/dcos-net/cni.log"]);
      const stdin = { name: "n", dcosNet: { logFile: "/tmp/x/cni.log" } };
      expect([...call({ stdin }).appended.keys()]).to.deep.equal(["/tmp/x/cni.log"]);
    });

    it("never makes a call fail", () => {
      const { plugin } = recordingPlugin();
      const append = () => {
        throw new NetError("permission", { tried: "append to the log", said: "EACCES" });
      };
      const outcome = callPlugin(plugin, { env: { CNI_COMMAND: "DEL" }, files: { append } });
      expect(outcome).to.include({ exitCode: 0, stdout: "", stderr: "cannot append to the log: EACCES\n" });
    });
  });

  describe("whatever it is given", () => {
    const odd = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.constantFrom(
        "",
        "ADD",
        "DEL",
        "CHECK",
        "GC",
        "STATUS",
        "FOO",
        "c1",
        "eth0",
        NETNS,
        "/",
        "..",
        "a".repeat(300),
      ),
    );
    const variables = fc.dictionary(
      fc.constantFrom(
        "CNI_COMMAND",
        "CNI_CONTAINERID",
        "CNI_NETNS",
        "CNI_IFNAME",
        "CNI_ARGS",
        "CNI_PATH",
        "CNI_NETNS_OVERRIDE",
      ),
      odd,
    );
    const configs = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
      fc
        .record(
          {
            name: fc.oneof(fc.constant("net"), fc.jsonValue()),
            cniVersion: fc.oneof(fc.constantFrom(...CNI_VERSIONS), fc.jsonValue()),
            dcosNet: fc.jsonValue(),
            prevResult: fc.jsonValue(),
            "cni.dev/valid-attachments": fc.jsonValue(),
          },
          { requiredKeys: [] },
        )
        .map((fields) => new TextEncoder().encode(JSON.stringify(fields))),
    );

    it("ends with success, or with exit code 1 and exactly one error document", () => {
      const { plugin } = recordingPlugin();
      fc.assert(
        fc.property(variables, configs, (env, stdin) => {
          const outcome = callPlugin(plugin, { env, stdin });
          if (outcome.exitCode === 0) return;
          const { code, msg, cniVersion } = errorOf(outcome);
          expect(code).to.be.a("number").and.not.equal(110);
          expect(msg).to.be.a("string").and.not.equal("");
          expect(CNI_VERSIONS).to.include(cniVersion);
          expect(outcome.log).to.have.length(1);
        }),
        { numRuns: 2000 },
      );
    });
  });
});
