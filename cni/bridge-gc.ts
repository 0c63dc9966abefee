import { messageOf } from "../lib/error.ts";
import { readBridgeConfig } from "./bridge-config.ts";
import { collect } from "./bridge-firewall.ts";
import { aliasOf, networkAlias } from "./container-link.ts";
import { ipamGc } from "./ipam.ts";
import type { Call, Host } from "./protocol.ts";
import { readRuntimeRequest } from "./request.ts";

/** GC of the bridge plugins: removes links, firewall entries and leases of this network that no valid attachment has. Goes on
 *  after a failure and reports all of them. */
export function collectBridge(call: Call, host: Host): void {
  const { ipam } = readBridgeConfig(call.config, readRuntimeRequest(call.config), call.args);
  const failures: unknown[] = [];
  const steps = [
    () => collectLinks(call, host),
    () => collect(host, call),
    () => (ipam === undefined ? undefined : ipamGc(call, host, ipam.type)),
  ];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(messageOf).join("; "));
}

/** Host ends of pairs whose alias names this network and no valid attachment. Deleting one end deletes the other, wherever it is. */
function collectLinks(call: Call, host: Host): void {
  const { network, attachments } = call;
  if (attachments === undefined) return;
  const valid = new Set(attachments.map((attachment) => aliasOf({ network, ...attachment })));
  const stale = host
    .kernel()
    .links()
    .filter(
      ({ kind, alias }) => kind === "veth" && alias?.startsWith(networkAlias(network)) === true && !valid.has(alias),
    );
  host.kernel().apply(stale.map(({ name }) => ({ do: "link.delete", dev: name })));
}
