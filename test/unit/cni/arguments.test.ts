import { expect } from "chai";
import fc from "fast-check";
import { parseArguments } from "../../../cni/arguments.ts";
import { cniErrorOf } from "../../support/cni-host.ts";

const KNOWN = ["IP", "MAC"];

describe("parseArguments", () => {
  const accepted: readonly [string, Record<string, string>][] = [
    ["", {}],
    ["IP=10.1.0.5", { IP: "10.1.0.5" }],
    ["IP=10.1.0.5;MAC=02:00:00:00:00:01", { IP: "10.1.0.5", MAC: "02:00:00:00:00:01" }],
    ["IP=1;IP=2", { IP: "2" }],
    ["IP=", { IP: "" }],
    ["IgnoreUnknown=0;IP=1", { IP: "1" }],
    ["FOO=1;IgnoreUnknown=1", {}],
    ["IgnoreUnknown=TRUE;K8S_POD_NAME=web;IP=1", { IP: "1" }],
  ];
  for (const [text, values] of accepted) {
    it(`reads ${JSON.stringify(text)}`, () => {
      expect(Object.fromEntries(parseArguments(text, KNOWN))).to.deep.equal(values);
    });
  }

  const refused: readonly [string, string][] = [
    ["IP", 'CNI_ARGS: invalid pair "IP"'],
    ["IP=1=2", 'CNI_ARGS: invalid pair "IP=1=2"'],
    ["IP=1;", 'CNI_ARGS: invalid pair ""'],
    ["FOO=1", 'CNI_ARGS: unknown args ["FOO=1"]'],
    ["ip=1", 'CNI_ARGS: unknown args ["ip=1"]'],
    ["A=1;IP=1;B=2", 'CNI_ARGS: unknown args ["A=1" "B=2"]'],
    ["A=1;IgnoreUnknown=false", 'CNI_ARGS: unknown args ["A=1"]'],
    ["IgnoreUnknown=maybe", 'CNI_ARGS: error parsing value of pair "IgnoreUnknown=maybe"'],
  ];
  for (const [text, message] of refused) {
    it(`refuses ${JSON.stringify(text)}, naming the variable`, () => {
      const error = cniErrorOf(() => parseArguments(text, KNOWN));
      expect(error.code).to.equal(4);
      expect(error.message).to.equal(message);
    });
  }

  it("gives back every pair of known keys", () => {
    const value = fc.string().filter((text) => !/[=;]/.test(text));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...KNOWN), value), (pairs) => {
        const text = Object.entries(pairs).map(([key, content]) => `${key}=${content}`);
        expect(Object.fromEntries(parseArguments(text.join(";"), KNOWN))).to.deep.equal({ ...pairs });
      }),
    );
  });
});
