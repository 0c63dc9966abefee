import type { Kernel } from "../../kernel/kernel.ts";
import { joinBackends, type Service, type ServiceKey } from "../service.ts";
import { forgetClients } from "./nftables-sticky.ts";
import { forgetFlows } from "./vip-flows.ts";

/** A service that has changed: what it was, when that is known, and what it is now, when it still is. */
export interface Changed {
  readonly key: ServiceKey;
  readonly before: Service | undefined;
  readonly after: Service | undefined;
  /** There was something of it, but nobody knows what it had been: its affinity can have been any. */
  readonly damaged: boolean;
}

/** What is still to be done for services that have changed: their clients and connections at backends that went are to
 *  be forgotten. It stays owed until the kernel has done it, because nothing that can be read back tells of it. */
export class OwedEndings {
  /** By the service's key. */
  readonly #changes = new Map<string, Changed>();

  /** Number of services for which something is still to be done. */
  get size(): number {
    return this.#changes.size;
  }

  add(owner: string, change: Changed): void {
    const earlier = this.#changes.get(owner);
    this.#changes.set(
      owner,
      earlier === undefined ? change : { ...change, before: earlier.before, damaged: earlier.damaged },
    );
  }

  /** Throws the kernel's refusal; then all is still owed. */
  carryOut(kernel: Kernel): void {
    if (this.#changes.size === 0) return;
    const changes = [...this.#changes.values()];
    forgetClients(kernel, changes);
    const ended = changes.filter(endsFlows).map(({ key, after }) => ({ ...key, backends: after?.backends ?? [] }));
    forgetFlows(kernel.conntrack, ended);
    this.#changes.clear();
  }
}

/** Backends have gone, or may have; or datagrams were on their way before there was a service to translate them. */
function endsFlows({ before, after }: Changed): boolean {
  if (before === undefined || after === undefined) return true;
  let hasLost = false;
  joinBackends(before.backends, after.backends, (_, to) => {
    if (to === undefined) hasLost = true;
  });
  return hasLost;
}
