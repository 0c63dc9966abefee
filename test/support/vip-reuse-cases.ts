import { readFileSync } from "node:fs";
import { expect } from "chai";
import type { VipWorld } from "./vip-behaviour.ts";
import type { ConnectsReport } from "./vip-connects-protocol.ts";
import type { VipHarness } from "./vip-harness.ts";
import { ADDRESS } from "./vip-network.ts";
import { startProgram } from "./vip-program.ts";
import { service } from "./vip-services.ts";

const [FIRST, SECOND] = ADDRESS[4].far;
const PORT = 8082;
const NAME = "tcp 11.0.0.1:8082";
const VIP = { address: "11.0.0.1", port: PORT } as const;
/** Each comes back many times, while backends, connection tracking and IPVS remember a closed connection for a minute
 *  or two. */
const CLIENT_PORTS = "40000\t40149";
const CONNECTIONS = 20_000;

/** Cases about clients whose ports come back at once. */
export function reuseCases(current: () => VipWorld, { name, connections = CONNECTIONS }: VipHarness): void {
  it("a client that opens connections without pause is served each time, and never has to begin again", async () => {
    const { network, plane, cgroup, want } = current();
    const backends = service(NAME, [FIRST]).backends.map((backend) => ({ ...backend, port: PORT }));
    want({ ...service(NAME, []), backends });
    const setting = "net/ipv4/ip_local_port_range";
    const usual = network.client.sysctl(setting) ?? "";
    network.client.setSysctl(setting, CLIENT_PORTS);
    const dropped = droppedPackets();
    const places = { vip: VIP, direct: { address: SECOND, port: PORT } };
    const served = [FIRST, SECOND].map((address) => ({ address, port: PORT }));
    const server = startProgram("vip-connects.ts", network.far, { serve: served });
    const client = startProgram<ConnectsReport>(
      "vip-connects.ts",
      network.client,
      { connect: places, count: connections },
      cgroup,
    );
    try {
      const report = await client.end();
      for (const [to, { rate, longestMs, thousandthMs }] of Object.entries(report)) {
        const times = `p99.9 ${thousandthMs.toFixed(2)} ms, longest ${longestMs.toFixed(1)} ms`;
        console.log(`      ${name}, ${to}: ${Math.round(rate)} connections/s, ${times}`);
      }
      expect(report["vip"]).to.include({ served: connections });
      // With a stall it would be nearly each of them.
      const lost = Math.min(droppedPackets() - dropped, connections / 100);
      expect(report["vip"]?.begunAgain, "first packets sent again").to.be.at.most(lost);
      const [counted] = plane.counters();
      // IPVS takes some that come back very soon for the connection of before.
      expect(counted?.backends[0]?.total).to.be.greaterThan(connections / 2);
    } finally {
      await client.abandon();
      await server.abandon();
      network.client.setSysctl(setting, usual);
    }
  });
}

/** Packets that the machine has dropped because a processor had too many waiting, of all namespaces. */
function droppedPackets(): number {
  const lines = readFileSync("/proc/net/softnet_stat", "utf8").trim().split("\n");
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(" ")[1] ?? "", 16), 0);
}
