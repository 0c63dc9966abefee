import { expect } from "chai";
import { nearest } from "../../../bin/nearest.ts";

describe("the nearest word", () => {
  const words = ["run_dir", "data_dir", "node", "nodes_file"];

  it("is the one with a letter changed, added, left out or swapped", () => {
    expect(nearest("run_dri", words)).to.equal("run_dir");
    expect(nearest("rundir", words)).to.equal("run_dir");
    expect(nearest("Data_Dirr", words)).to.equal("data_dir");
  });

  it("is none when every word is far", () => {
    expect(nearest("colour", words)).to.equal(undefined);
    expect(nearest("", words)).to.equal(undefined);
    expect(nearest("x", words)).to.equal(undefined);
  });
});
