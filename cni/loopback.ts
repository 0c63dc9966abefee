import type { Kernel } from "../kernel/kernel.ts";
import { contains, parsePrefix } from "../lib/address.ts";
import { CniError, OWN_ERROR } from "./error.ts";
import type { Plugin } from "./protocol.ts";
import { checkConvertible, type Result } from "./result.ts";
import { readPrevResult } from "./result-reader.ts";
import { inSandbox, requireNetns } from "./sandbox.ts";

/** Linux names it so in every namespace, therefore CNI_IFNAME is not looked at, as in the reference plugin. */
const LOOPBACK = "lo";

const LOOPBACK_NETWORKS = [parsePrefix("127.0.0.0/8"), parsePrefix("::1/128")];

/** Brings the loopback interface of a container up. In a chain it passes the previous result on. */
export const loopback: Plugin = {
  name: "loopback",
  about: "dcos-net loopback plugin: brings the loopback interface of a container up",

  add(call, host) {
    const netns = requireNetns(call);
    const previous = readPrevResult(call.config, call.version);
    if (previous !== undefined) checkConvertible(call.version, previous.ips);
    return inSandbox(host, netns, (kernel) => {
      kernel.apply([{ do: "link.set", dev: LOOPBACK, set: { up: true } }]);
      return previous ?? describeLoopback(kernel, call.netnsPath);
    });
  },

  del(call, host) {
    if (call.netns === undefined) return;
    inSandbox(host, call.netns, (kernel) => {
      kernel.apply([{ do: "link.set", dev: LOOPBACK, set: { up: false } }]);
    });
  },

  check(call, host) {
    const up = inSandbox(host, requireNetns(call), (kernel) => kernel.link(LOOPBACK)?.up);
    if (up !== true) throw new CniError(OWN_ERROR.notFound, "loopback interface is down");
  },
};

/** The first loopback address of each family. Other addresses somebody may have put on the interface are not ours to
 *  report. */
function describeLoopback(kernel: Kernel, sandbox: string): Result {
  const addresses = kernel.addresses(LOOPBACK).map(({ address }) => address);
  const ips = LOOPBACK_NETWORKS.flatMap((network) => addresses.find(({ ip }) => contains(network, ip)) ?? []);
  return {
    interfaces: [{ name: LOOPBACK, mac: "00:00:00:00:00:00", sandbox }],
    ips: ips.map((address) => ({ interface: 0, address })),
    routes: [],
    dns: {},
  };
}
