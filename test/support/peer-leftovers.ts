import { setTimeout as pause } from "node:timers/promises";
import { tryParseIp } from "../../lib/address.ts";
import type { Machine } from "./peer-machine.ts";

/** What a network left in a machine, one line each; empty when every container of it has been removed properly.
 *  Looks for leases and cached results, host ends of container links, and rules that name one of `marks`: container
 *  addresses, container ids, host ports as `dport N`. Bridges, empty chains and the lock stay by design. Looks
 *  again for up to three seconds before it reports anything, because the kernel takes links away some time after
 *  their namespace. */
export async function leftovers(machine: Machine, marks: readonly string[], data = "/var/lib/cni"): Promise<string[]> {
  const deadline = Date.now() + 3_000;
  for (;;) {
    const found = await present(machine, marks, data);
    if (found.length === 0 || Date.now() > deadline) return found;
    await pause(100);
  }
}

/** What is there at this moment of what {@link leftovers} looks for. */
export async function present(machine: Machine, marks: readonly string[], data = "/var/lib/cni"): Promise<string[]> {
  const files = await machine.script(`find ${data} -type f 2>/dev/null || true`);
  const leases = files.split("\n").filter((path) => {
    return path.includes("/results/") || tryParseIp(path.slice(path.lastIndexOf("/") + 1)) !== undefined;
  });
  const links = (await machine.must(["ip", "-o", "link", "show", "type", "veth"])).split("\n");
  const rules = (await ruleset(machine)).split("\n").filter((line) => marks.some((mark) => mentions(line, mark)));
  return [
    ...leases.map((path) => `lease ${path}`),
    ...links.filter((line) => line !== "" && !line.includes(" up0@")).map((line) => `link ${line}`),
    ...rules.map((line) => `rule ${line.trim()}`),
  ];
}

/** Every nftables rule of the machine (iptables writes there too), without packet counts. */
export async function ruleset(machine: Machine): Promise<string> {
  const text = await machine.must(["nft", "list", "ruleset"]);
  return text.replace(/packets \d+ bytes \d+/g, "packets 0 bytes 0");
}

/** True when the line holds the mark as a whole word: `10.1.0.2` isn't in `10.1.0.20`. */
function mentions(line: string, mark: string): boolean {
  const at = line.indexOf(mark);
  if (at < 0) return false;
  return !/[\w]/.test(line[at + mark.length] ?? " ") || mentions(line.slice(at + 1), mark);
}
