import { addFirewall, removeFirewall } from "../../cni/firewall.ts";
import { MAC_SPOOF, macSpoofEntry } from "../../cni/macspoof.ts";
import { MASQUERADE, masqueradeEntries } from "../../cni/masquerade.ts";
import { HOST_PORTS, hostPortsEntries } from "../../cni/portmap-rules.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { openLinux } from "../../kernel/linux.ts";
import { parsePrefix } from "../../lib/address.ts";

/** One of many processes that start and stop a container each, again and again, in the namespace that they are born
 *  in. Arguments: folder for the locks, number of the container (2 … 250), rounds. */
const [folder = "", number = "", rounds = ""] = process.argv.slice(2);
const kernel = openLinux();
const files = {
  ...linuxFiles,
  makeDirectory: (path: string) => linuxFiles.makeDirectory(`${folder}${path}`),
  lock: (path: string, waitMs: number) => linuxFiles.lock(`${folder}${path}`, waitMs),
};
const owner = { network: `net-${Number(number) % 3}`, containerId: `job-${number}`, ifname: "eth0" };
const addresses = [parsePrefix(`10.77.${Number(number) % 3}.${number}/24`)];
for (let round = 0; round < Number(rounds); round++) {
  const ports = hostPortsEntries({
    owner,
    addresses,
    mappings: [{ protocol: "tcp", hostPort: 8000 + Number(number), containerPort: 80 }],
    snat: true,
    masqAll: false,
    conditions: { 4: undefined, 6: undefined },
    excludeDevices: [],
  });
  addFirewall(kernel, files, [
    ...masqueradeEntries({ owner, addresses, excludes: [] }),
    ...ports,
    macSpoofEntry(owner, `veth${number}`, "02:00:00:00:00:05"),
  ]);
  const removed = removeFirewall(kernel, files, [MASQUERADE[4], HOST_PORTS[4], MAC_SPOOF], owner);
  if (removed.length !== 5) throw new Error(`${removed.length} elements were removed, 5 added`);
}
