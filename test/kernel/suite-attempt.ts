import { expect } from "chai";
import { describeOperation } from "../../kernel/encode.ts";
import { formatPrefix } from "../../lib/address.ts";
import { hasErrno } from "../../lib/error.ts";
import { type Fixture, refuses } from "./fixture.ts";
import { address, bridge, fdb, neighbor, remove, route, rule, set, up, veth, vxlan } from "./operations.ts";

/** Cases about many operations at once. */
export function attemptCases(current: () => Fixture): void {
  it("an empty batch does nothing", () => {
    const { kernel } = current();
    expect(kernel.attempt([])).to.deep.equal([]);
    kernel.apply([]);
  });

  it("a failure in the middle stops neither what comes before nor what comes after", () => {
    const { kernel } = current();
    const outcome = kernel.attempt([
      bridge("br0"),
      bridge("br0"),
      address("add", "br0", "10.1.0.1/24"),
      address("add", "nothing", "10.1.0.1/24"),
      route("delete", "10.77.0.0/24"),
      up("br0"),
    ]);
    expect(outcome.map((error) => error !== undefined)).to.deep.equal([false, true, false, true, true, false]);
    expect(hasErrno(outcome[1], "EEXIST")).to.equal(true);
    expect(hasErrno(outcome[3], "ENODEV")).to.equal(true);
    expect(hasErrno(outcome[4], "ESRCH")).to.equal(true);
    expect(kernel.link("br0")?.up).to.equal(true);
    expect(kernel.addresses("br0").map(({ address: prefix }) => formatPrefix(prefix))).to.include("10.1.0.1/24");
  });

  it("apply throws the first error, after the whole batch", () => {
    const { kernel } = current();
    const wrong = route("delete", "10.77.0.0/24");
    expect(() => kernel.apply([wrong, remove("nothing"), bridge("br0")])).to.throw(describeOperation(wrong));
    expect(kernel.link("br0")?.name).to.equal("br0");
  });

  it("an operation may use links that an earlier one makes, moves, renames or ties together", () => {
    const { kernel } = current();
    kernel.apply([
      bridge("br0"),
      veth("v0", "v1"),
      set("v0", { master: "br0", up: true }),
      set("v1", { name: "inner", up: true }),
      up("br0"),
      address("add", "inner", "10.1.0.2/24"),
      address("add", "br0", "10.1.0.1/24"),
      route("add", "10.2.0.0/24", { gateway: "10.1.0.2", dev: "br0" }),
    ]);
    expect(kernel.routes({ dev: "br0" }).map(({ dst }) => formatPrefix(dst))).to.include("10.2.0.0/24");
  });

  it("a name is looked up anew after its link was deleted and made again", () => {
    const { kernel } = current();
    kernel.apply([
      veth("v0", "v1"),
      up("v0"),
      up("v1"),
      remove("v0"),
      bridge("v1"),
      veth("v0", "v2"),
      set("v0", { master: "v1" }),
      set("v1", { up: true }),
    ]);
    expect(kernel.link("v0")?.master).to.equal(kernel.link("v1")?.index);
    expect(kernel.link("v1")).to.include({ kind: "bridge", up: true });
  });

  it("a link that gets an alias and another name at once keeps both", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { alias: "first" }), set("br0", { name: "br1" }), bridge("br0", { alias: "second" })]);
    expect(kernel.link("br1")?.alias).to.equal("first");
    expect(kernel.link("br0")?.alias).to.equal("second");
  });

  it("a link that is refused because its name is taken leaves the other its alias", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0", { alias: "first" })]);
    expect(hasErrno(kernel.attempt([bridge("br0", { alias: "second" })])[0], "EEXIST")).to.equal(true);
    expect(kernel.link("br0")?.alias).to.equal("first");
  });

  it("a name that moved to another link leads to that link", () => {
    const { kernel } = current();
    kernel.apply([
      bridge("a"),
      bridge("b"),
      up("a"),
      up("b"),
      set("a", { name: "c" }),
      set("b", { name: "a" }),
      address("add", "a", "10.1.0.1/24"),
      set("c", { alias: "was a" }),
      set("a", { alias: "was b" }),
    ]);
    expect(kernel.link("c")?.alias).to.equal("was a");
    expect(kernel.link("a")?.alias).to.equal("was b");
    expect(kernel.addresses("c").filter(({ scope }) => scope === "global")).to.deep.equal([]);
  });

  it("a batch of a thousand failures and successes gives each its own answer", () => {
    const { kernel } = current();
    const operations = Array.from({ length: 1000 }, (_, index) =>
      index % 2 === 0
        ? neighbor("add", "vx0", `44.128.${index >> 8}.${index & 255}`, "02:00:00:00:00:05")
        : neighbor("add", "vx0", "44.128.0.0", "02:00:00:00:00:06"),
    );
    const [, , ...outcome] = kernel.attempt([vxlan("vx0"), up("vx0"), ...operations]);
    expect(outcome.map((error) => hasErrno(error, "EEXIST"))).to.deep.equal(
      operations.map((_, index) => index % 2 === 1),
    );
  });

  it("says whether something changed since it was last asked", () => {
    const { kernel } = current();
    expect(kernel.changed()).to.equal(true);
    expect(kernel.changed()).to.equal(false);
    kernel.apply([bridge("br0")]);
    expect(kernel.changed()).to.equal(true);
    expect(kernel.changed()).to.equal(false);
    kernel.apply([up("br0"), vxlan("vx0")]);
    for (const change of [
      address("add", "br0", "10.1.0.1/24"),
      address("add", "br0", "fd00::1/64", { noDad: true }),
      neighbor("add", "br0", "10.1.0.2", "02:00:00:00:00:05"),
      fdb("add", "vx0", "02:00:00:00:00:05", "192.0.2.1"),
      route("add", "10.9.0.0/24", { dev: "br0", table: 42 }),
      route("add", "fd09::/64", { dev: "br0", table: 42 }),
      rule("add", "10.0.0.0/8"),
      rule("add", "fd00::/8"),
    ]) {
      kernel.changed();
      kernel.apply([change]);
      expect(kernel.changed(), describeOperation(change)).to.equal(true);
    }
  });

  it("a refusal is no change", () => {
    const { kernel } = current();
    kernel.apply([bridge("br0")]);
    kernel.changed();
    refuses(kernel, bridge("br0"), "EEXIST");
    refuses(kernel, route("delete", "10.77.0.0/24"), "ESRCH");
    expect(kernel.changed()).to.equal(false);
  });
}
