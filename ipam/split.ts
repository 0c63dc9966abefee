import { firstOf, formatPrefix, isNetwork, lastOf, type Prefix, widthOf } from "../lib/address.ts";
import { NetError } from "../lib/error.ts";

/** The two container engines' shares of a node's subnet. */
export interface NodeHalves {
  /** Lower half: Mesos and CNI containers. */
  readonly mesos: Prefix;
  /** Upper half: Docker containers. */
  readonly docker: Prefix;
}

/** Cuts a node's subnet as the DC/OS overlay master does (dcos-mesos-modules overlay/master.cpp, allocateBridges): two halves
 *  one bit longer, `9.0.1.0/24` into `9.0.1.0/25` and `9.0.1.128/25`. The halves are fixed, whichever engines are in use, so
 *  that switching one on later moves nobody. Throws `invalid` for a single address or a prefix with host bits. */
export function splitNodeSubnet(subnet: Prefix): NodeHalves {
  const length = subnet.length + 1;
  if (length > widthOf(subnet.ip.family) || !isNetwork(subnet)) {
    throw new NetError("invalid", {
      tried: `split ${formatPrefix(subnet)} between Mesos and Docker`,
      said: isNetwork(subnet) ? "it is a single address" : "it has host bits set",
      remedy: `give the node a subnet such as ${subnet.ip.family === 4 ? "9.0.1.0/24" : "fd01:b:0:0:1::/80"}`,
    });
  }
  const mesos = { ip: firstOf(subnet), length };
  return { mesos, docker: { ip: { family: subnet.ip.family, value: lastOf(mesos).value + 1n }, length } };
}
