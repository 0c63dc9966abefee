import type { BridgeConfig } from "./bridge-config.ts";
import type { NetworkAttachment } from "./container-link.ts";
import type { Call, Host } from "./protocol.ts";
import type { PortMapping } from "./request.ts";
import type { Result } from "./result.ts";

/** What an attachment needs of the firewall. */
export interface FirewallRequest {
  readonly attachment: NetworkAttachment;
  readonly config: BridgeConfig;
  readonly ports: readonly PortMapping[];
  readonly result: Result;
}

export function protect(_host: Host, _request: FirewallRequest): void {}
export function unprotect(_host: Host, _attachment: NetworkAttachment): void {}
export function verify(_host: Host, _request: FirewallRequest): void {}
export function collect(_host: Host, _call: Call): void {}
