import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type DelegateOptions, delegate, delegateAdd, findPlugin } from "../../../cni/delegate.ts";
import type { Plugin } from "../../../cni/protocol.ts";
import { linuxFiles } from "../../../kernel/file.ts";
import { callPlugin, cniErrorOf, errorOf, type Outcome, recordingPlugin } from "../../support/cni-host.ts";

const CONFIG = '{"cniVersion":"1.0.0", "name":"net", "ipam":{"type":"ours"}, "unknown":[1]}';
const RESULT = '{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16"}]}';

describe("a delegated plugin", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "dcos-net-delegate-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function install(script: string, name = "ours"): string {
    const path = join(directory, name);
    writeFileSync(path, `#!/bin/sh\ncd ${directory}\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  }
  const content = (name: string) => readFileSync(join(directory, name), "utf8");

  /** Calls a plugin that does nothing but delegate. */
  function run(verb: "ADD" | "DEL", options: DelegateOptions = {}): Outcome {
    const { plugin } = recordingPlugin();
    const delegating: Plugin = {
      ...plugin,
      add: (call, host) => delegateAdd(call, host, "ours", options),
      del: (call, host) => delegate("DEL", call, host, "ours", options),
    };
    const env = { CNI_COMMAND: verb, CNI_PATH: `/nowhere:${directory}`, PATH: process.env["PATH"], EXTRA: "e" };
    return callPlugin(delegating, { env, stdin: CONFIG, files: { stat: (path) => linuxFiles.stat(path) } });
  }

  it("gets the configuration unchanged and the environment of the caller", () => {
    install(`cat > in; env > env; echo '${RESULT}'`);
    expect(JSON.parse(run("ADD").stdout)).to.deep.equal(JSON.parse(RESULT));
    expect(content("in")).to.equal(CONFIG);
    expect(content("env").split("\n")).to.include.members([
      "CNI_COMMAND=ADD",
      "CNI_CONTAINERID=c1",
      "CNI_IFNAME=eth0",
      "EXTRA=e",
    ]);
  });

  it("gets another configuration when the caller gives one", () => {
    install(`cat > in; echo '${RESULT}'`);
    run("ADD", { stdin: "{}" });
    expect(content("in")).to.equal("{}");
  });

  it("is asked for the verb alone when nothing failed", () => {
    install(`echo $CNI_COMMAND >> verbs; echo '${RESULT}'`);
    expect(run("ADD").exitCode).to.equal(0);
    expect(run("DEL")).to.include({ exitCode: 0, stdout: "" });
    expect(content("verbs")).to.equal("ADD\nDEL\n");
  });

  it("may leave its input unread and may print before it reads", () => {
    install(`echo '${RESULT}'; exec <&-`);
    expect(run("ADD", { stdin: `{"a":"${"x".repeat(300_000)}"}` }).exitCode).to.equal(0);
  });

  it("has its standard error forwarded", () => {
    install(`echo warning >&2; echo '${RESULT}'`);
    expect(run("ADD").stderr).to.equal("warning\n");
  });

  it("has its error passed on with its own code, after its DEL was run", () => {
    const refuse = `echo '{"code":11,"msg":"busy","details":"d"}'; exit 1`;
    install(`echo $CNI_COMMAND >> verbs; [ $CNI_COMMAND = DEL ] || { ${refuse}; }`);
    expect(errorOf(run("ADD"))).to.deep.equal({ cniVersion: "1.0.0", code: 11, msg: "busy", details: "d" });
    expect(content("verbs")).to.equal("ADD\nDEL\n");
  });

  it("has the failure of that DEL noted, not reported instead", () => {
    install(`echo '{"code":11,"msg":"'$CNI_COMMAND' failed"}'; exit 1`);
    const outcome = run("ADD");
    expect(errorOf(outcome)).to.include({ code: 11, msg: "ADD failed" });
    expect(outcome.log[0]?.["notes"]).to.deep.equal(["DEL of ours after its failed ADD failed too: DEL failed"]);
  });

  it("is run once for DEL, whose failure is reported", () => {
    install(`echo $CNI_COMMAND >> verbs; echo '{"code":5,"msg":"no disk"}'; exit 3`);
    expect(errorOf(run("DEL"))).to.include({ code: 5, msg: "no disk" });
    expect(content("verbs")).to.equal("DEL\n");
  });

  const broken: readonly [string, string, number, string][] = [
    ["fails silently", "exit 1", 117, "failed with no error message"],
    ["fails with text on standard error", "echo boom >&2; exit 1", 117, 'failed: "boom"'],
    ["fails with something else than JSON", "echo boom; exit 1", 117, "cannot decode the error"],
    ["fails with an error without a code", "echo '{}'; exit 1", 117, "cannot read the error.code: it is missing"],
    ["succeeds without a result", "exit 0", 6, "cannot decode the result of ours"],
    ["succeeds with half a result", `echo '{"ips":[{'`, 6, "cannot decode the result of ours"],
    [
      "succeeds with a bad result",
      `echo '{"ips":[{"address":"x"}]}'`,
      7,
      "cannot read the result of ours.ips[0].address",
    ],
    ["is killed", "kill -9 $$", 5, "it was killed by SIGKILL"],
  ];
  for (const [what, script, code, message] of broken) {
    it(`that ${what} is reported with code ${code}`, () => {
      install(script);
      const error = errorOf(run("ADD"));
      expect(error.code).to.equal(code);
      expect(error.msg).to.contain(message);
    });
  }

  it("that prints without end is killed together with its children", () => {
    install("sleep 20 & echo $! > child; exec yes");
    const error = errorOf(run("DEL"));
    expect(error.code).to.equal(5);
    expect(error.msg).to.contain("it printed more than 1048576 bytes and was killed");
    expect(isRunning(content("child"))).to.equal(false);
  });

  it("that does not end is killed together with its children", () => {
    install("sleep 20 & echo $! > child; sleep 20");
    const error = errorOf(run("DEL", { timeLimitMs: 300 }));
    expect(error.code).to.equal(11);
    expect(error.msg).to.contain("it did not end within 0.3 s and was killed");
    expect(isRunning(content("child"))).to.equal(false);
  });

  it("is found in the first directory that has it, through a symbolic link too, and never outside", () => {
    const first = join(directory, "first");
    mkdirSync(join(first, "ours"), { recursive: true });
    const path = install("");
    expect(findPlugin(linuxFiles, "ours", ["/nowhere", first, directory])).to.equal(path);
    symlinkSync(path, join(first, "linked"));
    expect(findPlugin(linuxFiles, "linked", [directory, first])).to.equal(join(first, "linked"));
    const refused: readonly [string, number, string][] = [
      ["", 7, "no plugin name provided"],
      ["../ours", 7, 'invalid plugin name: "../ours"'],
      ["/bin/true", 7, 'invalid plugin name: "/bin/true"'],
      ["ours\0", 7, 'invalid plugin name: "ours\\u0000"'],
      ["..", 114, `failed to find plugin ".." in path [${first} ${directory}]`],
      ["other", 114, `failed to find plugin "other" in path [${first} ${directory}]`],
    ];
    for (const [type, code, message] of refused) {
      const error = cniErrorOf(() => findPlugin(linuxFiles, type, [first, directory]));
      expect(error).to.include({ code, message });
    }
  });

  it("that may not be executed is an error that names it", () => {
    chmodSync(install(""), 0o644);
    const error = errorOf(run("DEL"));
    expect(error.code).to.equal(5);
    expect(error.msg).to.contain(join(directory, "ours"));
  });
});

/** True for a process that still runs after all the time that the kernel may need to carry out a SIGKILL. */
function isRunning(pid: string): boolean {
  const path = `/proc/${pid.trim()}/stat`;
  for (let tries = 0; tries < 200; tries++) {
    // Z and X: dead, but its parent hasn't taken note yet.
    if (!existsSync(path) || / [ZX] /.test(readFileSync(path, "utf8"))) return false;
    Bun.sleepSync(10);
  }
  return true;
}
