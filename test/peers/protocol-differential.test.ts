import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { loopback } from "../../cni/loopback.ts";
import type { Plugin } from "../../cni/protocol.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { openLinux } from "../../kernel/linux.ts";
import { callPlugin, recordingPlugin } from "../support/cni-host.ts";
import { describePeer, REFERENCE } from "../support/peer-needs.ts";

/** What a runtime sees of a call; standard output that is no error document is parsed. */
interface Seen {
  readonly exit: number;
  readonly code?: number;
  readonly msg?: string;
  readonly output?: unknown;
}

interface Case {
  /** Variables that differ from {@link environment}; an empty one is as good as missing. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Key of {@link DIFFERENCES}, for a case in which both sides are meant to differ. */
  readonly differs?: string;
  /** What ours must say where it differs. */
  readonly ours?: Seen;
}

/** Every way in which the answers are meant to differ, and why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "own words": "the decoder's own sentences name Go types; ours name the place and the value, under the same code",
  "null is no object": "Go decodes null into an empty configuration and then misses its name; ours says what is wrong",
  "environment first":
    "the environment is judged before standard input, as newer Go libraries do: it is cheaper and clearer",
  "unknown command first": "nobody knows what an unknown verb reads or needs, so nothing else is asked of it",
  "one rule for versions": "CHECK with an unknown version is told the versions that are supported, as every other verb",
  "names have an end": "ids and names become file names; longer ones would fail half-way",
  "exact spelling wins": "of two spellings of a key the exact one counts, not the one that happens to stand last",
  "verbs of 1.1.0": "the reference at hand knows 1.0.0; ours serves GC and STATUS, and says so in VERSION",
  "real code": "the reference gives 999 to whatever is no protocol error; ours numbers it",
  "right shape": "the reference prints a 1.0.0 result under any version that the configuration names",
  "no empty dns": "dns is optional since 1.0.0 and left out when empty, as by current libraries",
  "DEL succeeds": "DEL must not fail for a namespace that is not there: the rest of the chain would stay undone",
  "any prevResult": "a prevResult of any released version can be read, so it is",
  "no address, no old result": "results before 0.3.0 need an address, in a chain too",
};

const CODE_1 = { exit: 1, code: 1 };
const CODE_4 = { exit: 1, code: 4 };
const CODE_6 = { exit: 1, code: 6 };
const CODE_7 = { exit: 1, code: 7 };
const long = (length: number) => "n".repeat(length);
const named = (name: unknown, more: object = {}) => JSON.stringify({ name, ...more });
const V1 = { cniVersion: "1.0.0" };

/** Calls that no plugin should see: the protocol refuses them, or answers by itself. */
const REFUSED: Readonly<Record<string, Case>> = {
  "no command": { env: { CNI_COMMAND: "" } },
  "ADD without the rest": {
    env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" },
  },
  "ADD without id": { env: { CNI_CONTAINERID: "" } },
  "ADD without namespace": { env: { CNI_NETNS: "" } },
  "ADD without interface and path": { env: { CNI_IFNAME: "", CNI_PATH: "" } },
  "DEL without id": { env: { CNI_COMMAND: "DEL", CNI_CONTAINERID: "" } },
  "DEL without the rest": {
    env: { CNI_COMMAND: "DEL", CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" },
  },
  "CHECK without namespace": { env: { CNI_COMMAND: "CHECK", CNI_NETNS: "" } },
  "an id that begins with a dash": { env: { CNI_CONTAINERID: "-c" } },
  "an id with a slash": { env: { CNI_CONTAINERID: "a/../b" } },
  "an id with a blank": { env: { CNI_CONTAINERID: "a b" } },
  "an id with a letter beyond ASCII": { env: { CNI_CONTAINERID: "cä" } },
  "a bad id to DEL": { env: { CNI_COMMAND: "DEL", CNI_CONTAINERID: "." } },
  "an interface name of 16 bytes": { env: { CNI_IFNAME: "a234567890123456" } },
  "an interface name of 16 bytes in 8 letters": { env: { CNI_IFNAME: "ääääääää" } },
  "the interface .": { env: { CNI_IFNAME: "." } },
  "the interface ..": { env: { CNI_IFNAME: ".." } },
  "an interface with a slash": { env: { CNI_IFNAME: "a/b" } },
  "an interface with a colon": { env: { CNI_IFNAME: "a:b" } },
  "an interface with a tab": { env: { CNI_IFNAME: "a\tb" } },
  "an interface with a no-break space": { env: { CNI_IFNAME: "a\u00a0b" } },
  "an interface with the next-line character": { env: { CNI_IFNAME: "a\u0085b" } },
  "no name": { stdin: "{}" },
  "an empty name": { stdin: named("") },
  "a name that is null": { stdin: named(null) },
  "a name with a blank": { stdin: named("a b") },
  "a name with a dot first": { stdin: named(".a") },
  "a name in another case": { stdin: '{"NAME":"a b"}' },
  "an unknown version": { stdin: named("n", { cniVersion: "9.9.9" }) },
  "a version that is no version": { stdin: named("n", { cniVersion: "abc" }) },
  "a version of two parts": { stdin: named("n", { cniVersion: "1.0" }) },
  "a version in another case": { stdin: '{"name":"n","CNIVERSION":"9.9.9"}' },
  "CHECK without a version": { env: { CNI_COMMAND: "CHECK" }, stdin: named("n") },
  "CHECK of 0.3.1": { env: { CNI_COMMAND: "CHECK" }, stdin: named("n", { cniVersion: "0.3.1" }) },

  "empty input": {
    stdin: "",
    differs: "own words",
    ours: { ...CODE_6, msg: "cannot decode network config: JSON Parse error: Unexpected EOF" },
  },
  "half an object": {
    stdin: '{"name":',
    differs: "own words",
    ours: { ...CODE_6, msg: "cannot decode network config: JSON Parse error: Unexpected EOF" },
  },
  "two objects": {
    stdin: "{}{}",
    differs: "own words",
    ours: { ...CODE_6, msg: "cannot decode network config: JSON Parse error: Unable to parse JSON string" },
  },
  "a list": {
    stdin: "[]",
    differs: "own words",
    ours: { ...CODE_6, msg: "cannot decode network config: [] is not an object" },
  },
  "a string": {
    stdin: '"x"',
    differs: "own words",
    ours: { ...CODE_6, msg: 'cannot decode network config: "x" is not an object' },
  },
  null: {
    stdin: "null",
    differs: "null is no object",
    ours: { ...CODE_6, msg: "cannot decode network config: null is not an object" },
  },
  "a name that is a number": {
    stdin: named(5),
    differs: "own words",
    ours: { ...CODE_6, msg: "cannot read name: it is 5; give a string" },
  },
  "a version that is a number": {
    stdin: named("n", { cniVersion: 1 }),
    differs: "own words",
    ours: { ...CODE_6, msg: "cannot read cniVersion: it is 1; give a string" },
  },
  "a bad id and a bad name": {
    env: { CNI_CONTAINERID: "-" },
    stdin: named("a b"),
    differs: "environment first",
    ours: { ...CODE_4, msg: "invalid characters in containerID" },
  },
  "a bad interface and no JSON": {
    env: { CNI_IFNAME: ".." },
    stdin: "x",
    differs: "environment first",
    ours: { ...CODE_4, msg: "interface name is . or .." },
  },
  "an unknown command": { env: { CNI_COMMAND: "FOO" }, stdin: named("n") },
  "a command in lower case": { env: { CNI_COMMAND: "add" }, stdin: named("n") },
  "an unknown command without input": {
    env: { CNI_COMMAND: "FOO" },
    stdin: "",
    differs: "unknown command first",
    ours: { ...CODE_4, msg: "unknown CNI_COMMAND: FOO" },
  },
  "an unknown command without id": {
    env: { CNI_COMMAND: "FOO", CNI_CONTAINERID: "" },
    stdin: named("n"),
    differs: "unknown command first",
    ours: { ...CODE_4, msg: "unknown CNI_COMMAND: FOO" },
  },
  "CHECK of an unknown version": {
    env: { CNI_COMMAND: "CHECK" },
    stdin: named("n", { cniVersion: "9.9.9" }),
    differs: "one rule for versions",
    ours: { ...CODE_1, msg: "incompatible CNI versions" },
  },
  "CHECK of no version at all": {
    env: { CNI_COMMAND: "CHECK" },
    stdin: named("n", { cniVersion: "abc" }),
    differs: "one rule for versions",
    ours: { ...CODE_1, msg: "incompatible CNI versions" },
  },
  "GC of 1.0.0": {
    env: { CNI_COMMAND: "GC" },
    stdin: named("n", V1),
    differs: "verbs of 1.1.0",
    ours: { ...CODE_1, msg: "config version does not allow GC" },
  },
  "STATUS of 1.0.0": {
    env: { CNI_COMMAND: "STATUS" },
    stdin: named("n", V1),
    differs: "verbs of 1.1.0",
    ours: { ...CODE_1, msg: "config version does not allow STATUS" },
  },
  VERSION: {
    env: { CNI_COMMAND: "VERSION" },
    stdin: "x",
    differs: "verbs of 1.1.0",
    ours: {
      exit: 0,
      output: {
        cniVersion: "1.1.0",
        supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
      },
    },
  },
};

const LO = { name: "lo", mac: "00:00:00:00:00:00", sandbox: "NETNS" };
const IPS = [
  { interface: 0, address: "127.0.0.1/8" },
  { interface: 0, address: "::1/128" },
];
const VERSIONED = { interfaces: [LO], ips: IPS.map((ip, at) => ({ version: at === 0 ? "4" : "6", ...ip })), dns: {} };
const OLDEST = {
  exit: 0,
  output: { cniVersion: "0.1.0", ip4: { ip: "127.0.0.1/8" }, ip6: { ip: "::1/128" }, dns: {} },
};
const CHAINED = { ips: [{ version: "4", address: "10.1.0.5/16" }], dns: {} };
const noNamespace = (path: string) => ({ exit: 1, code: 8, msg: `CNI_NETNS "${path}" is not a network namespace` });

/** Calls that a loopback plugin carries out, in this order on one namespace. */
const LOOPBACK: Readonly<Record<string, Case>> = {
  "CHECK before ADD": {
    env: { CNI_COMMAND: "CHECK" },
    stdin: named("n", V1),
    differs: "real code",
    ours: { exit: 1, code: 114, msg: "loopback interface is down" },
  },
  "ADD without a version": { stdin: named("n") },
  "ADD of 0.1.0": { stdin: named("n", { cniVersion: "0.1.0" }), differs: "right shape", ours: OLDEST },
  "ADD with a version that is null": { stdin: named("n", { cniVersion: null }) },
  "ADD of 0.2.0": {
    stdin: named("n", { cniVersion: "0.2.0" }),
    differs: "right shape",
    ours: { exit: 0, output: { cniVersion: "0.2.0", ip4: { ip: "127.0.0.1/8" }, ip6: { ip: "::1/128" }, dns: {} } },
  },
  "ADD of 0.3.0": {
    stdin: named("n", { cniVersion: "0.3.0" }),
    differs: "right shape",
    ours: { exit: 0, output: { cniVersion: "0.3.0", ...VERSIONED } },
  },
  "ADD of 0.3.1": {
    stdin: named("n", { cniVersion: "0.3.1" }),
    differs: "right shape",
    ours: { exit: 0, output: { cniVersion: "0.3.1", ...VERSIONED } },
  },
  "ADD of 0.4.0": {
    stdin: named("n", { cniVersion: "0.4.0" }),
    differs: "right shape",
    ours: { exit: 0, output: { cniVersion: "0.4.0", ...VERSIONED } },
  },
  "ADD of 1.0.0": {
    stdin: named("n", V1),
    differs: "no empty dns",
    ours: { exit: 0, output: { ...V1, interfaces: [LO], ips: IPS } },
  },
  "ADD for another interface name": { env: { CNI_IFNAME: "eth0" }, stdin: named("n") },
  "ADD with arguments that nobody reads": { env: { CNI_ARGS: "a;b=c=d" }, stdin: named("n") },
  "ADD with keys in another case": { stdin: '{"NAME":"n","TYPE":"loopback","x":1}' },
  "ADD with the version in another case": {
    stdin: '{"name":"n","CNIVERSION":"0.1.0"}',
    differs: "right shape",
    ours: OLDEST,
  },
  "ADD with two spellings, the exact one last": { stdin: '{"NAME":"a b","name":"n"}' },
  "ADD with two spellings, the exact one first": {
    stdin: '{"name":"n","NAME":"a b"}',
    differs: "exact spelling wins",
    ours: OLDEST,
  },
  "ADD in a chain": { stdin: named("n", { cniVersion: "0.4.0", prevResult: { cniVersion: "0.4.0", ...CHAINED } }) },
  "ADD in a chain without the result's version": { stdin: named("n", { cniVersion: "0.4.0", prevResult: CHAINED }) },
  "ADD in a chain with an older form": {
    stdin: named("n", { cniVersion: "0.2.0", prevResult: { cniVersion: "0.2.0", ip4: { ip: "10.1.0.5/16" } } }),
  },
  "ADD after an empty result": { stdin: named("n", { cniVersion: "0.4.0", prevResult: {} }) },
  "ADD with a prevResult of another generation": {
    stdin: named("n", { cniVersion: "0.4.0", prevResult: { ...V1, ips: [{ address: "10.1.0.5/16" }] } }),
    differs: "any prevResult",
    ours: { exit: 0, output: { cniVersion: "0.4.0", ...CHAINED } },
  },
  "ADD after an empty result of 0.2.0": {
    stdin: named("n", { cniVersion: "0.2.0", prevResult: { cniVersion: "0.2.0" } }),
    differs: "no address, no old result",
    ours: { ...CODE_7, msg: "cannot convert: no valid IP addresses" },
  },
  "ADD with a bad prevResult": {
    stdin: named("n", { cniVersion: "0.4.0", prevResult: { ips: 5 } }),
    differs: "real code",
    ours: { ...CODE_7, msg: "could not parse prevResult" },
  },
  "ADD with a prevResult that is a number": {
    stdin: named("n", { cniVersion: "0.4.0", prevResult: 5 }),
    differs: "real code",
    ours: { ...CODE_7, msg: "could not parse prevResult" },
  },
  "ADD into a namespace that is gone": {
    env: { CNI_NETNS: "/nonexistent" },
    stdin: named("n"),
    differs: "real code",
    ours: noNamespace("/nonexistent"),
  },
  "ADD into a file that is no namespace": {
    env: { CNI_NETNS: "/etc/passwd" },
    stdin: named("n"),
    differs: "real code",
    ours: noNamespace("/etc/passwd"),
  },
  "ADD with a long id": {
    env: { CNI_CONTAINERID: long(300) },
    stdin: named("n"),
    differs: "names have an end",
    ours: { ...CODE_4, msg: "containerID is too long" },
  },
  "ADD with a long network name": {
    stdin: named(long(300)),
    differs: "names have an end",
    ours: { ...CODE_7, msg: "network name is too long" },
  },
  CHECK: { env: { CNI_COMMAND: "CHECK" }, stdin: named("n", V1) },
  "CHECK of 0.4.0": { env: { CNI_COMMAND: "CHECK" }, stdin: named("n", { cniVersion: "0.4.0" }) },
  "CHECK in a namespace that is gone": {
    env: { CNI_COMMAND: "CHECK", CNI_NETNS: "/nonexistent" },
    stdin: named("n", V1),
    differs: "real code",
    ours: noNamespace("/nonexistent"),
  },
  "DEL without a namespace": { env: { CNI_COMMAND: "DEL", CNI_NETNS: "" }, stdin: named("n") },
  "DEL in a namespace that is gone": { env: { CNI_COMMAND: "DEL", CNI_NETNS: "/nonexistent" }, stdin: named("n", V1) },
  "DEL in a file that is no namespace": {
    env: { CNI_COMMAND: "DEL", CNI_NETNS: "/etc/passwd" },
    stdin: named("n"),
    differs: "DEL succeeds",
    ours: { exit: 0 },
  },
  DEL: { env: { CNI_COMMAND: "DEL" }, stdin: named("n", V1) },
  "DEL again": { env: { CNI_COMMAND: "DEL" }, stdin: named("n", V1) },
  "CHECK after DEL": {
    env: { CNI_COMMAND: "CHECK" },
    stdin: named("n", V1),
    differs: "real code",
    ours: { exit: 1, code: 114, msg: "loopback interface is down" },
  },
};

describePeer("the protocol beside the reference plugins", { files: [join(REFERENCE, "loopback")] }, () => {
  const undo: (() => void)[] = [];
  let machine: Kernel;
  let host: Kernel;
  let folder = "";

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "dcos-net-protocol-"));
    undo.push(() => rmSync(folder, { recursive: true, force: true }));
    machine = openLinux();
    undo.push(() => machine.close());
    for (const name of ["host", "theirs", "ours"]) {
      machine.createNetns(join(folder, name));
      undo.push(() => machine.deleteNetns(join(folder, name)));
    }
    const netns = machine.openNetns(join(folder, "host"));
    if (netns === undefined) throw new Error("the namespace that was just made is missing");
    host = machine.within(netns);
    undo.push(() => {
      host.close();
      netns.close();
    });
  });
  after(() => {
    for (const step of undo.reverse()) step();
  });

  const environment = (side: string, changes: Readonly<Record<string, string>> = {}) => ({
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: join(folder, side),
    CNI_IFNAME: "eth0",
    CNI_PATH: REFERENCE,
    ...changes,
  });

  function theirs(program: string, { env, stdin = named("n") }: Case): Seen {
    const options = { env: environment("theirs", env), stdin: new TextEncoder().encode(stdin), timeout: 10_000 };
    const child = host.enter(() => Bun.spawnSync([join(REFERENCE, program)], options));
    return seen(child.exitCode ?? -1, child.stdout.toString(), environment("theirs").CNI_NETNS);
  }

  function ours(plugin: Plugin, { env, stdin = named("n") }: Case): Seen {
    const outcome = callPlugin(plugin, { env: environment("ours", env), stdin, kernel: host });
    return seen(outcome.exitCode, outcome.stdout, environment("ours").CNI_NETNS);
  }

  function compare(program: string, plugin: Plugin, one: Case): void {
    const reference = theirs(program, one);
    const own = ours(plugin, one);
    if (one.differs === undefined) {
      expect(own).to.deep.equal(reference);
      return;
    }
    expect(own).to.deep.equal(one.ours);
    expect(reference).not.to.deep.equal(one.ours);
  }

  for (const program of ["bridge", "host-local", "portmap", "loopback"]) {
    describe(`refuses what ${program} refuses:`, () => {
      for (const [name, one] of Object.entries(REFUSED)) {
        it(one.differs === undefined ? name : `${name} (differs: ${one.differs})`, () => {
          const { plugin, reached } = recordingPlugin();
          compare(program, plugin, one);
          expect(reached).to.deep.equal([]);
        });
      }
    });
  }

  describe("carries out what loopback carries out:", () => {
    for (const [name, one] of Object.entries(LOOPBACK)) {
      it(one.differs === undefined ? name : `${name} (differs: ${one.differs})`, () => {
        compare("loopback", loopback, one);
      });
    }
  });

  it("uses every difference that is declared", () => {
    const used = [...Object.values(REFUSED), ...Object.values(LOOPBACK)].flatMap(({ differs = [] }) => differs);
    expect(new Set(used)).to.deep.equal(new Set(Object.keys(DIFFERENCES)));
  });
});

/** Paths of namespaces are different on both sides and are made equal. */
function seen(exit: number, stdout: string, netns: string): Seen {
  if (stdout === "") return { exit };
  const output: Record<string, unknown> = JSON.parse(stdout.replaceAll(netns, "NETNS"));
  if (exit === 0) return { exit, output };
  return { exit, code: Number(output["code"]), msg: String(output["msg"]) };
}
