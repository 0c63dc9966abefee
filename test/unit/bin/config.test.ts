import { readFileSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { type Config, KEYS, readConfig, SCHEMA, variableOf } from "../../../bin/config.ts";
import { NetError } from "../../../lib/error.ts";

const FILE = "/etc/example.json";

function read(content: object | string | undefined, env: Record<string, string> = {}) {
  const text = typeof content === "object" ? JSON.stringify(content) : content;
  return readConfig({ text, file: FILE, env });
}

function refusal(content: object | string | undefined, env: Record<string, string> = {}): string {
  try {
    read(content, env);
  } catch (error) {
    expect(error).to.be.instanceOf(NetError);
    expect((error as NetError).code).to.equal("invalid");
    return (error as NetError).message;
  }
  throw new Error("it was accepted");
}

describe("the configuration", () => {
  it("is all defaults without file and environment", () => {
    const { config, origins } = read(undefined);
    for (const key of KEYS) {
      expect(config[key], key).to.equal(SCHEMA[key].fallback);
      expect(origins[key], key).to.equal("default");
    }
  });

  it("has defaults that its own rules accept, also when written as text, and a doc line for each key", () => {
    for (const key of KEYS) {
      expect(SCHEMA[key].accept(SCHEMA[key].fallback), key).to.equal(SCHEMA[key].fallback);
      expect(SCHEMA[key].accept(String(SCHEMA[key].fallback)), key).to.equal(SCHEMA[key].fallback);
      expect(SCHEMA[key].doc, key).to.have.length.greaterThan(10);
    }
  });

  it("is in the manual with each key, its variable and its default", () => {
    const manual = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
    const rows = [...manual.matchAll(/^\| `(\w+)` \| `(DCOS_NET_\w+)` \| `?([^`|]*?)`? \|/gm)];
    expect(rows.map(([, ...cells]) => cells)).to.deep.equal(
      KEYS.map((key) => [key, variableOf(key), key === "node" ? "host name" : String(SCHEMA[key].fallback)]),
    );
  });

  it("takes the file over the default and the environment over the file, and tells which it was", () => {
    const { config, origins } = read({ run_dir: "/a", resync_ms: 2000 }, { DCOS_NET_RUN_DIR: "/b" });
    expect([config.run_dir, origins.run_dir]).to.deep.equal(["/b", "DCOS_NET_RUN_DIR"]);
    expect([config.resync_ms, origins.resync_ms]).to.deep.equal([2000, FILE]);
  });

  it("reads numbers from the environment as numbers", () => {
    expect(read(undefined, { DCOS_NET_KERNEL_POLL_MS: "250" }).config.kernel_poll_ms).to.equal(250);
  });

  it("names every problem at once, unknown keys with the nearest known one", () => {
    const said = refusal({ run_dri: "/x", resync_ms: 1, log_level: "loud" }, { DCOS_NET_CNI_DIR: "relative" });
    expect(said).to.include('there is no key "run_dri", did you mean "run_dir"?');
    expect(said).to.include(`${FILE}: resync_ms must be whole number from 1000 to 3600000, not 1`);
    expect(said).to.include(`${FILE}: log_level must be one of debug, info, warn, error, not "loud"`);
    expect(said).to.include('DCOS_NET_CNI_DIR must be absolute path, not "relative"');
  });

  it("refuses what is no JSON object", () => {
    expect(refusal("{")).to.include(`${FILE}: isn't JSON`);
    for (const content of ["[]", "3", "null", '"text"']) expect(refusal(content)).to.include("must be a JSON object");
  });

  it("ignores variables of other programs and of the tests", () => {
    expect(read(undefined, { DCOS_NET_FIXTURES: "/x", RUN_DIR: "/y" }).config.run_dir).to.equal("/run/dcos-net");
  });

  it("gives a complete, typed configuration or a NetError, whatever the file holds", () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom("/a/path", 1000, "1000", "warn", ""));
    const object = fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), value);
    fc.assert(
      fc.property(object, (content) => {
        let config: Config;
        try {
          config = read(content).config;
        } catch (error) {
          return error instanceof NetError;
        }
        return KEYS.every((key) => typeof config[key] === typeof SCHEMA[key].fallback);
      }),
    );
  });

  it("names variables after keys", () => {
    expect(variableOf("run_dir")).to.equal("DCOS_NET_RUN_DIR");
  });
});
