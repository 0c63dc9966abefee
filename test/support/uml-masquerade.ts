import type { Kernel } from "../../kernel/kernel.ts";

/** Runs a command in the node's namespace and returns what it prints. */
export function runIn(node: Kernel, command: string): string {
  const { stdout, stderr, success } = node.enter(() => Bun.spawnSync(command.split(" "), { timeout: 20_000 }));
  if (!success) throw new Error(`${command}: ${stderr}`);
  return stdout.toString();
}

/** Nothing of nf_tables but bridges is in user-mode Linux, so rules of iptables stand in for the masquerading of the
 *  IPVS data plane's table, on the node of vip-network.ts. They can't compare interfaces, so a mark tells through which
 *  a packet came. */
export function masqueradeByIptables(node: Kernel): void {
  const nat = "-t nat -A POSTROUTING -m ipvs --ipvs --vdir ORIGINAL --vmethod MASQ";
  const rules = [
    `${nat} -o lo -j RETURN`,
    `${nat} -m addrtype --src-type LOCAL -j MASQUERADE`,
    ...["br0", "vfar"].flatMap((dev, index) => [
      `-t mangle -A PREROUTING -i ${dev} -j MARK --set-mark ${index + 1}`,
      `${nat} -o ${dev} -m mark --mark ${index + 1} -j MASQUERADE`,
    ]),
  ];
  for (const tool of ["iptables-legacy", "ip6tables-legacy"]) {
    if (runIn(node, `${tool} -t nat -S`).includes("MASQUERADE")) continue;
    for (const rule of rules) runIn(node, `${tool} ${rule}`);
  }
}
