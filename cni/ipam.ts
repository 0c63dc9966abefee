import { CNI_ERROR, CniError } from "./error.ts";
import { checkAddresses, checkFree, collectAddresses, leaseAddresses, releaseAddresses } from "./host-local.ts";
import { readHostLocalConfig } from "./host-local-config.ts";
import type { Call, Host } from "./protocol.ts";
import type { Result } from "./result.ts";

/** IPAM plugins that run in this process: starting a second one would take longer than all the rest of an ADD. */
const IN_PROCESS = ["host-local", "dcos-ipam"];

const loadRare = () => require("./rare.ts") as typeof import("./rare.ts");

/** Addresses for the call's attachment from the IPAM plugin `type`. Throws when it gives none. */
export function ipamAdd(call: Call, host: Host, type: string): Result {
  if (IN_PROCESS.includes(type)) {
    return leaseAddresses(call, host, readHostLocalConfig(call.config, call.version, call.args));
  }
  const result = loadRare().delegateAdd(call, host, type);
  if (result.ips.length === 0) throw new CniError(CNI_ERROR.invalidConfig, "IPAM plugin returned missing IP config");
  return result;
}

/** Gives back what the attachment holds. */
export function ipamDel(call: Call, host: Host, type: string): void {
  if (IN_PROCESS.includes(type)) releaseAddresses(call, host);
  else loadRare().delegate("DEL", call, host, type);
}

export function ipamCheck(call: Call, host: Host, type: string): void {
  if (IN_PROCESS.includes(type)) checkAddresses(call, host);
  else loadRare().delegate("CHECK", call, host, type);
}

export function ipamGc(call: Call, host: Host, type: string): void {
  if (IN_PROCESS.includes(type)) collectAddresses(call, host);
  else loadRare().delegate("GC", call, host, type);
}

export function ipamStatus(call: Call, host: Host, type: string): void {
  if (IN_PROCESS.includes(type)) checkFree(call, host);
  else loadRare().delegate("STATUS", call, host, type);
}
