import { expect } from "chai";
import {
  checkContainerId,
  checkInterfaceName,
  checkNetworkName,
  NAME_LIMIT,
  readEnvironment,
} from "../../../cni/environment.ts";
import { cniErrorOf, ENVIRONMENT } from "../../support/cni-host.ts";

const read = (changes: Record<string, string | undefined>) => readEnvironment({ ...ENVIRONMENT, ...changes });

describe("readEnvironment", () => {
  it("answers nothing without CNI_COMMAND or with an empty one", () => {
    expect(read({ CNI_COMMAND: undefined })).to.equal(undefined);
    expect(read({ CNI_COMMAND: "" })).to.equal(undefined);
  });

  it("reads what Mesos gives, which has no CNI_ARGS", () => {
    const id = "bb2ee976-1483-40a7-adaa-94de0dd602af.11e75071-26bf-41ee-9f31-eaa3ede1b64f";
    expect(read({ CNI_CONTAINERID: id, CNI_PATH: "/a::/b", PATH: "/bin" })).to.deep.equal({
      verb: "ADD",
      containerId: id,
      netnsPath: ENVIRONMENT["CNI_NETNS"],
      ifname: "eth0",
      args: "",
      path: ["/a", "/b"],
      netnsOverride: false,
    });
  });

  const missing: readonly [string, string][] = [
    ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"],
    ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["GC", "CNI_PATH"],
    ["STATUS", "CNI_PATH"],
  ];
  for (const [verb, names] of missing) {
    it(`reports all variables that ${verb} misses at once, empty ones too`, () => {
      for (const env of [{ CNI_COMMAND: verb }, { CNI_COMMAND: verb, CNI_PATH: "", CNI_IFNAME: "" }]) {
        const error = cniErrorOf(() => readEnvironment(env));
        expect(error.code).to.equal(4);
        expect(error.message).to.equal(`required env variables [${names}] missing`);
      }
    });
  }

  it("needs no other variable for VERSION", () => {
    expect(readEnvironment({ CNI_COMMAND: "VERSION" })?.verb).to.equal("VERSION");
  });

  it("names an unknown command", () => {
    expect(cniErrorOf(() => read({ CNI_COMMAND: "FOO" }))).to.include({
      code: 4,
      message: "unknown CNI_COMMAND: FOO",
    });
  });

  it("judges the container id and the interface name only for verbs that need them", () => {
    const bad = { CNI_CONTAINERID: "-", CNI_IFNAME: ".." };
    expect(read({ ...bad, CNI_COMMAND: "GC" })?.verb).to.equal("GC");
    expect(cniErrorOf(() => read({ ...bad, CNI_COMMAND: "DEL" })).message).to.contain("containerID");
    expect(cniErrorOf(() => read({ CNI_IFNAME: "..", CNI_COMMAND: "DEL" })).message).to.contain("interface name");
  });

  it("knows CNI_NETNS_OVERRIDE as 1 and as true in any case", () => {
    for (const on of ["1", "true", "TRUE", "True"])
      expect(read({ CNI_NETNS_OVERRIDE: on })?.netnsOverride).to.equal(true);
    for (const off of ["", "0", "yes", "11"]) expect(read({ CNI_NETNS_OVERRIDE: off })?.netnsOverride).to.equal(false);
  });
});

describe("checkContainerId", () => {
  for (const id of ["a", "0", "a.b", "a_b-c", "A".repeat(NAME_LIMIT)]) {
    it(`accepts ${id.slice(0, 20)}`, () => checkContainerId(id));
  }
  const refused: readonly [string, number, string][] = [
    ["", 3, "missing containerID"],
    ["-a", 4, "invalid characters in containerID"],
    [".a", 4, "invalid characters in containerID"],
    ["..", 4, "invalid characters in containerID"],
    ["a/b", 4, "invalid characters in containerID"],
    ["a b", 4, "invalid characters in containerID"],
    ["a\n", 4, "invalid characters in containerID"],
    ["ä", 4, "invalid characters in containerID"],
    ["a".repeat(NAME_LIMIT + 1), 4, "containerID is too long"],
  ];
  for (const [id, code, message] of refused) {
    it(`refuses ${JSON.stringify(id.slice(0, 20))} with code ${code}`, () => {
      expect(cniErrorOf(() => checkContainerId(id))).to.include({ code, message });
    });
  }
});

describe("checkNetworkName", () => {
  const refused: readonly [string, string][] = [
    ["", "missing network name"],
    ["a b", "invalid characters found in network name"],
    ["../x", "invalid characters found in network name"],
    [".dcos-net", "invalid characters found in network name"],
    ["n".repeat(NAME_LIMIT + 1), "network name is too long"],
  ];
  for (const [name, message] of refused) {
    it(`refuses ${JSON.stringify(name.slice(0, 20))} with code 7`, () => {
      expect(cniErrorOf(() => checkNetworkName(name))).to.include({ code: 7, message });
    });
  }
  it("accepts the names of the overlays and bridges in use", () => {
    for (const name of ["dcos", "dcos6", "mesos-bridge", "n".repeat(NAME_LIMIT)]) checkNetworkName(name);
  });
});

describe("checkInterfaceName", () => {
  const characters = "interface name contains / or : or whitespace characters";
  const refused: readonly [string, string][] = [
    ["", "interface name is empty"],
    ["a234567890123456", "interface name is too long"],
    ["ääääääää", "interface name is too long"],
    [".", "interface name is . or .."],
    ["..", "interface name is . or .."],
    ["a/b", characters],
    ["a:b", characters],
    ["a b", characters],
    ["a\tb", characters],
    ["a\u00a0b", characters],
    ["a\u0085b", characters],
    ["a\u2003b", characters],
  ];
  for (const [name, message] of refused) {
    it(`refuses ${JSON.stringify(name)}`, () => {
      expect(cniErrorOf(() => checkInterfaceName(name))).to.include({ code: 4, message });
    });
  }
  it("accepts what Linux accepts", () => {
    for (const name of ["eth0", "a", "a23456789012345", "äöü", "lo", "eth0.5", "@x"]) checkInterfaceName(name);
  });
});
