import { expect } from "chai";
import { mountsIn } from "../../../kernel/mounts.ts";

describe("mounts", () => {
  it("are read with path and type, however many optional fields there are", () => {
    const text = [
      "29 23 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw",
      "31 23 0:27 / /sys/fs/bpf rw,nosuid shared:10 master:2 - bpf none rw,mode=700",
      "40 29 0:4 net:[4026532] /run/netns/a\\040b rw - nsfs nsfs rw",
      "",
    ].join("\n");
    expect(mountsIn(text)).to.deep.equal([
      { path: "/sys/fs/cgroup/unified", type: "cgroup2" },
      { path: "/sys/fs/bpf", type: "bpf" },
      { path: "/run/netns/a b", type: "nsfs" },
    ]);
  });

  it("lines that say nothing are passed over", () => {
    expect(mountsIn("what is this\n- -\n")).to.deep.equal([]);
  });
});
