import type { Kernel } from "../kernel/kernel.ts";

const TABLE = "filter";
/** The chain that we add to the table of iptables, in the way of iptables' own names. */
export const FORWARD_CHAIN = "DCOS-NET";
/** What Docker calls the bridges of its own networks. */
const DOCKER_BRIDGES = ["docker0", "br-*"];

/** Docker sets the policy of iptables' FORWARD chain to DROP when it is the one that switches forwarding on, which cuts
 *  every overlay between nodes, CNI's too. This lets the packets of `bridges` through: a chain of ours that accepts
 *  what comes from them or goes to them, called at the end of FORWARD, where everybody else's rules have had their say
 *  and only the policy is left. It is made only where the policy is to drop. What goes from them to a bridge of
 *  Docker's own is left to the policy, which keeps Docker's networks apart. Returns true when something was done. */
export function openForwarding(kernel: Kernel, bridges: readonly string[]): boolean {
  const commands = (["ip", "ip6"] as const).flatMap((family) => {
    const listing = kernel.nftables.table(family, TABLE);
    return listing === undefined ? [] : forwardCommands(family, listing, bridges);
  });
  if (commands.length > 0) kernel.nftables.run(commands);
  return commands.length > 0;
}

/** The nft commands that are missing in table `filter` of a family, whose text `listing` is; none when all is well.
 *  Pure. */
export function forwardCommands(family: "ip" | "ip6", listing: string, bridges: readonly string[]): string[] {
  const forward = chainOf(listing, "FORWARD");
  const own = chainOf(listing, FORWARD_CHAIN);
  const drops = forward?.some((line) => /\bpolicy drop;/.test(line)) === true;
  if (forward === undefined || (own === undefined && (!drops || bridges.length === 0))) return [];
  const place = `${family} ${TABLE}`;
  const wanted = bridges.length === 0 ? [] : rulesFor(bridges);
  const held = own?.map((line) => line.replace(/counter packets \d+ bytes \d+/, "counter")) ?? [];
  const isCalled = forward.some((line) => line.endsWith(`jump ${FORWARD_CHAIN}`));
  return [
    ...(own === undefined ? [`add chain ${place} ${FORWARD_CHAIN}`] : []),
    ...(held.join() === wanted.join()
      ? []
      : [
          `flush chain ${place} ${FORWARD_CHAIN}`,
          ...wanted.map((rule) => `add rule ${place} ${FORWARD_CHAIN} ${rule}`),
        ]),
    ...(isCalled ? [] : [`add rule ${place} FORWARD counter jump ${FORWARD_CHAIN}`]),
  ];
}

function rulesFor(bridges: readonly string[]): string[] {
  return [
    ...bridges.map((bridge) => `oifname "${bridge}" counter accept`),
    ...DOCKER_BRIDGES.map((bridge) => `oifname "${bridge}" counter return`),
    ...bridges.map((bridge) => `iifname "${bridge}" counter accept`),
  ];
}

/** The lines of a chain in nft's listing; undefined when it is missing. */
function chainOf(listing: string, name: string): string[] | undefined {
  const lines = listing.split("\n").map((line) => line.trim());
  const start = lines.indexOf(`chain ${name} {`);
  return start < 0 ? undefined : lines.slice(start + 1, lines.indexOf("}", start));
}
