import { allocate, held, release } from "../ipam/allocate.ts";
import type { Owner } from "../ipam/lease.ts";
import { type LeaseStore, openStore } from "../ipam/store.ts";
import { fromCString } from "../lib/bytes.ts";
import { messageOf, NetError } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { asSection, required, type Section } from "./config.ts";
import { type HostLocalConfig, readDataDir, readHostLocalConfig, readResolvConf } from "./host-local-config.ts";
import type { Call, Host, Plugin } from "./protocol.ts";
import type { Result } from "./result.ts";

const loadRare = () => require("./rare.ts") as typeof import("./rare.ts");

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
/** Longest wait for the lock of a network: it is held for less than a millisecond, so that a thousand callers fit
 *  before. */
const LOCK_WAIT_MS = 20_000;

/** host-local (cni.dev) on our leases: the plugin `dcos-ipam`, and what the bridge plugin runs in its own process. */
export const hostLocal: Plugin = {
  name: "dcos-ipam",
  about: "dcos-net host-local IPAM: addresses of this node's ranges, one file each",
  add: (call, host) => leaseAddresses(call, host, readHostLocalConfig(call.config, call.version, call.args)),
  del: (call, host) => void releaseAddresses(call, host),
  check: checkAddresses,
  gc: collectAddresses,
  status: checkFree,
};

/** Leases one address of each range set for the call's attachment, in the form of an IPAM result: no interface
 *  indexes. */
export function leaseAddresses(call: Call, host: Host, config: HostLocalConfig): Result {
  const dns = config.resolvConf === undefined ? {} : readResolvConf(host.files, config.resolvConf);
  const leases = allocate(storeOf(call, host.files, config.dataDir), config.sets, ownerOf(call), config.requested);
  const ips = leases.map(({ address, gateway }) => ({ address, ...(gateway === undefined ? {} : { gateway }) }));
  return { interfaces: [], ips, routes: config.routes, dns };
}

/** Gives back what the call's attachment holds. */
export function releaseAddresses(call: Call, host: Host): void {
  release(storeOf(call, host.files, readDataDir(ipamOf(call.config))), ownerOf(call));
}

export function checkAddresses(call: Call, host: Host): void {
  const owner = ownerOf(call);
  if (held(storeOf(call, host.files, readDataDir(ipamOf(call.config))), owner).length > 0) return;
  throw new NetError("not-found", {
    tried: `find an address of container ${owner.id} interface ${owner.ifname} on network ${call.network}`,
    said: `host-local: Failed to find address added by container ${owner.id}`,
    remedy: "the lease was removed behind the container's back: DEL and ADD it again",
  });
}

/** Releases what no valid attachment holds. Goes on after a failure and reports all of them. */
export function collectAddresses(call: Call, host: Host): void {
  if (call.attachments === undefined) return;
  const valid = call.attachments.map(({ containerId, ifname }) => ({ id: containerId, ifname }));
  const { failures } = loadRare().collectGarbage(storeOf(call, host.files, readDataDir(ipamOf(call.config))), valid);
  if (failures.length > 0) throw new AggregateError(failures, failures.map(messageOf).join("; "));
}

/** Fails when a range set has no address left, before a container has to find out. */
export function checkFree(call: Call, host: Host): void {
  const config = readHostLocalConfig(call.config, call.version, call.args);
  const { sets } = loadRare().usage(storeOf(call, host.files, config.dataDir), config.sets);
  const full = sets.find(({ free, orphaned }) => free === 0n && orphaned === 0);
  if (full === undefined) return;
  throw new NetError("exhausted", {
    tried: `serve another container on network ${call.network}`,
    said: `all ${full.size} addresses of ${full.ranges} are in use`,
    remedy: "remove containers, run dcos-net ipam show to see who holds them, or widen the range",
  });
}

function ownerOf({ containerId, ifname }: Call): Owner {
  return { id: containerId, ifname };
}

function ipamOf(config: Section): Section {
  return required(config, "ipam", asSection);
}

function storeOf(call: Call, files: Files, dataDir: string): LeaseStore {
  const bootId = fromCString(files.read(BOOT_ID, 100) ?? new Uint8Array(0)).trim();
  return openStore(files, { dataDir, network: call.network, bootId, lockWaitMs: LOCK_WAIT_MS });
}
