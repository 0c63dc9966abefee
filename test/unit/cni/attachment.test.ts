import { expect } from "chai";
import { readAttachments } from "../../../cni/attachment.ts";
import { netErrorOf } from "../../support/ipam-scratch.ts";

const read = (fields: Record<string, unknown>) => readAttachments({ at: "", fields });

describe("readAttachments", () => {
  const one = { containerID: "c1", ifname: "eth0" };
  const readings: readonly [string, Record<string, unknown>, unknown][] = [
    ["no key as no knowledge", {}, undefined],
    ["a key of another spelling as no knowledge", { "CNI.DEV/VALID-ATTACHMENTS": [] }, undefined],
    ["null, which is Go's empty list, as an empty list", { "cni.dev/valid-attachments": null }, []],
    ["an empty list as an empty list", { "cni.dev/valid-attachments": [] }, []],
    ["a list", { "cni.dev/valid-attachments": [one] }, [{ containerId: "c1", ifname: "eth0" }]],
    ["the name of an early draft", { "cni.dev/attachments": [one] }, [{ containerId: "c1", ifname: "eth0" }]],
    ["the final name first", { "cni.dev/attachments": [one], "cni.dev/valid-attachments": [] }, []],
  ];
  for (const [what, fields, expected] of readings) {
    it(`reads ${what}`, () => {
      expect(read(fields)).to.deep.equal(expected);
    });
  }

  const malformed: readonly unknown[] = [
    "",
    "c1",
    5,
    true,
    {},
    [5],
    [null],
    ["c1"],
    [{}],
    [{ containerID: "c1" }],
    [{ ifname: "eth0" }],
    [{ containerId: "c1", ifname: "eth0" }],
    [{ containerID: "", ifname: "eth0" }],
    [{ containerID: "c1", ifname: 5 }],
    [one, { containerID: 5, ifname: "eth0" }],
  ];
  for (const list of malformed) {
    it(`refuses ${JSON.stringify(list)}`, () => {
      const error = netErrorOf(() => read({ "cni.dev/valid-attachments": list }));
      expect(error.code).to.equal("invalid");
      expect(error.message).to.contain("cni.dev/valid-attachments");
    });
  }
});
