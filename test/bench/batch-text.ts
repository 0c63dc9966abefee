import type { LinkSpec, Operation } from "../../kernel/kernel.ts";
import { formatIp, formatPrefix } from "../../lib/address.ts";

/** The lines that do the same with the reference tools' batch modes. */
export interface BatchText {
  readonly ip: string;
  /** For `ip -6 -batch`: a rule's family can't be said within the text. */
  readonly ip6: string;
  readonly bridge: string;
}

/** Operations as text for the reference tools. Throws on those that the overlay's first synchronisation doesn't
 *  have. */
export function batchText(operations: readonly Operation[]): BatchText {
  const ip: string[] = [];
  const ip6: string[] = [];
  const bridge: string[] = [];
  for (const operation of operations) {
    if (operation.do === "fdb.replace") {
      const { mac, dev, remote } = operation.entry;
      bridge.push(`fdb replace ${mac} dev ${dev} dst ${formatIp(remote)}`);
    } else {
      const lines = operation.do === "rule.add" && operation.rule.family === 6 ? ip6 : ip;
      lines.push(...ipLines(operation));
    }
  }
  const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
  return { ip: text(ip), ip6: text(ip6), bridge: text(bridge) };
}

function ipLines(operation: Operation): string[] {
  switch (operation.do) {
    case "link.add":
      return linkLines(operation.link);
    case "link.set": {
      const { up, mtu, mac, ...others } = operation.set;
      if (Object.keys(others).length > 0) throw new Error(`no batch text for link.set ${Object.keys(others)}`);
      const changes = [mtu && `mtu ${mtu}`, mac && `address ${mac}`, up && "up"].filter(Boolean);
      return [`link set ${operation.dev} ${changes.join(" ")}`];
    }
    case "address.add": {
      const { dev, address, noDad } = operation.address;
      return [`address add ${formatPrefix(address)} dev ${dev}${noDad ? " nodad" : ""}`];
    }
    case "rule.add": {
      const { from, table, priority } = operation.rule;
      const place = priority === undefined ? "" : ` priority ${priority}`;
      return [`rule add from ${from === undefined ? "all" : formatPrefix(from)} lookup ${table}${place}`];
    }
    case "neighbor.replace": {
      const { ip, mac, dev } = operation.neighbor;
      return [`neighbor replace ${formatIp(ip)} lladdr ${mac} dev ${dev} nud permanent`];
    }
    case "route.replace": {
      const { dst, gateway, dev, table = 254, onlink, protocol = 3 } = operation.route;
      const via = gateway === undefined ? "" : ` via ${formatIp(gateway)}`;
      const flags = onlink ? " onlink" : "";
      return [`route replace ${formatPrefix(dst)}${via} dev ${dev} table ${table} proto ${protocol}${flags}`];
    }
    default:
      throw new Error(`no batch text for ${operation.do}`);
  }
}

function linkLines(link: LinkSpec): string[] {
  const address = link.mac === undefined ? "" : ` address ${link.mac}`;
  const mtu = link.mtu === undefined ? "" : ` mtu ${link.mtu}`;
  const kind =
    link.kind === "vxlan"
      ? `vxlan id ${link.vni} dstport ${link.port} ${link.learning ? "learning" : "nolearning"}`
      : link.kind;
  const up = link.up ? [`link set ${link.name} up`] : [];
  return [`link add ${link.name}${address}${mtu} type ${kind}`, ...up];
}
