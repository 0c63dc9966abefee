import type { Link } from "../kernel/kernel.ts";
import type { Files } from "../lib/files.ts";
import { isAttachmentIdle } from "./attachment-lock.ts";
import { readBridgeConfig } from "./bridge-config.ts";
import { collect } from "./bridge-firewall.ts";
import { aliasOf, networkAlias, unlabelledNumber } from "./container-link.ts";
import { inTurn } from "./in-turn.ts";
import { ipamGc } from "./ipam.ts";
import type { Call, Host } from "./protocol.ts";
import { readRuntimeRequest } from "./request.ts";

/** GC of the bridge plugins: removes links, firewall entries and leases of this network that no valid attachment has.
 *  Goes on after a failure and reports all of them. */
export function collectBridge(call: Call, host: Host): void {
  const { ipam } = readBridgeConfig(call.config, readRuntimeRequest(call.config), call.args);
  inTurn([
    () => collectLinks(call, host),
    () => collect(host, call),
    () => (ipam === undefined ? undefined : ipamGc(call, host, ipam.type)),
  ]);
}

/** Host ends of pairs whose alias names this network and no valid attachment, and those of ADDs that were killed before
 *  they could set one. Deleting one end deletes the other, wherever it is. */
function collectLinks(call: Call, host: Host): void {
  const { network, attachments } = call;
  if (attachments === undefined) return;
  const valid = new Set(attachments.map((attachment) => aliasOf({ network, ...attachment })));
  const stale = host
    .kernel()
    .links()
    .filter((link) => isAbandoned(link, host.files) || isStale(link, network, valid));
  host.kernel().apply(stale.map(({ name }) => ({ do: "link.delete", dev: name })));
}

function isStale({ kind, alias }: Link, network: string, valid: ReadonlySet<string>): boolean {
  return kind === "veth" && alias?.startsWith(networkAlias(network)) === true && !valid.has(alias);
}

function isAbandoned(link: Link, files: Files): boolean {
  const number = unlabelledNumber(link);
  return number !== undefined && isAttachmentIdle(files, number);
}
