import { release } from "node:os";
import { expect } from "chai";
import type { Kernel } from "../../kernel/kernel.ts";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { deviceAndRoutes, keeps } from "../support/vip-damages.ts";
import type { VipDamage } from "../support/vip-harness.ts";
import { openVipNetwork, type VipNetwork } from "../support/vip-network.ts";

describe("every object of IPVS, deleted by somebody else", function () {
  this.timeout(120_000);
  let network: VipNetwork;
  before(() => {
    network = openVipNetwork();
  });
  after(() => network?.close());

  it("is put back and named, one by one", () => {
    const { node } = network;
    const open = () => openIpvsDataplane(node, { release: release(), random: Math.random });
    const local = () => node.routes({ table: 255, dev: "minuteman", local: true });
    const damages = keeps(open, node, () => [...servicesAndBackends(node), ...deviceAndRoutes(local())]);
    expect(damages.filter((what) => what.startsWith("service "))).to.have.length(5);
    expect(damages.filter((what) => what.startsWith("backend "))).to.have.length(8);
    expect(damages.filter((what) => what.startsWith("route "))).to.have.length.greaterThan(1);
  });
});

/** As ipvsadm lists them, in its own words for adding them. */
function servicesAndBackends(node: Kernel): VipDamage[] {
  return [
    { what: "all of them", do: () => void ipvsadm(node, "--clear") },
    ...ipvsadm(node, "--save", "-n")
      .split("\n")
      .filter((line) => line !== "")
      .map((line): VipDamage => {
        const [, verb, protocol = "", vip = "", backend] = /^-([Aa]) (-[tu]) (\S+)(?: -r (\S+))?/.exec(line) ?? [];
        if (verb === "A") {
          return { what: `service ${protocol} ${vip}`, do: () => void ipvsadm(node, "-D", protocol, vip) };
        }
        return {
          what: `backend ${protocol} ${vip} ${backend}`,
          do: () => void ipvsadm(node, "-d", protocol, vip, "-r", backend ?? ""),
        };
      }),
  ];
}

function ipvsadm(node: Kernel, ...words: readonly string[]): string {
  const { stdout, stderr, success } = node.enter(() => Bun.spawnSync(["ipvsadm", ...words], { timeout: 20_000 }));
  if (!success) throw new Error(`ipvsadm ${words.join(" ")}: ${stderr}`);
  return stdout.toString();
}
