import type { Kernel } from "../kernel/kernel.ts";
import { formatPrefix, type Prefix, parseIp, parsePrefix } from "../lib/address.ts";
import { messageOf } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { ensureBridge } from "./bridge.ts";
import type { DockerDriver } from "./driver.ts";
import { isProtected, protect } from "./endpoint-firewall.ts";
import { ensurePair, hasPair } from "./endpoint-link.ts";
import { openForwarding } from "./forward.ts";
import { bridgeWish } from "./network.ts";
import { type DockerOverlay, overlayNamed } from "./overlay.ts";
import type { EndpointRecord, NetworkRecord } from "./record.ts";

export interface RepairParts {
  readonly kernel: Kernel;
  readonly files: Files;
  readonly log: Log;
  readonly driver: DockerDriver;
}

/** Puts back what somebody removed of the networks and endpoints on record: bridges and their addresses, containers'
 *  places on them, masquerading, host ports. */
export class Repairer {
  readonly #parts: RepairParts;
  /** The overlays' addresses that the masquerading in force spares. */
  #inside = "";

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** One pass. Everything is tried; problems are told of and tried again at the next pass. */
  pass(overlays: readonly DockerOverlay[]): void {
    const { driver } = this.#parts;
    const inside = overlays.flatMap((overlay) => overlay.inside.map(formatPrefix)).join();
    const changed = inside !== this.#inside;
    for (const network of driver.store.networks()) {
      this.#attempt("network", network.id, () => this.#repairNetwork(network, overlays));
      for (const endpoint of driver.store.endpoints(network.id)) {
        this.#attempt("endpoint", endpoint.id, () => this.#repairEndpoint(network, endpoint, overlays, changed));
      }
    }
    this.#inside = inside;
    this.#attempt("forwarding", "", () => this.#openForwarding(overlays));
  }

  #openForwarding(overlays: readonly DockerOverlay[]): void {
    const { kernel, driver, log } = this.#parts;
    const own = driver.store.networks().map(({ bridge }) => bridge);
    const bridges = overlays.flatMap(({ bridge, cniBridge }) => [bridge, cniBridge]);
    const all = [...new Set([...bridges, ...own])].sort();
    if (openForwarding(kernel, all)) log.info("forwarding opened in iptables' chain FORWARD", { bridges: all });
  }

  #repairNetwork(network: NetworkRecord, overlays: readonly DockerOverlay[]): void {
    const { kernel, driver, log } = this.#parts;
    const overlay = overlayNamed(overlays, network.overlay);
    if (ensureBridge(kernel, bridgeWish(network, overlay.mtu))) {
      log.warn("Docker bridge repaired", { bridge: network.bridge, overlay: overlay.name });
    }
    for (const { pool, gateway, aux } of network.pools) {
      const own = { pool: parsePrefix(pool), gateway: parseIp(gateway) };
      for (const address of aux) driver.ipam.keep(overlay.name, { ...own, range: own.pool }, parseIp(address));
    }
  }

  #repairEndpoint(
    network: NetworkRecord,
    endpoint: EndpointRecord,
    overlays: readonly DockerOverlay[],
    changed: boolean,
  ): void {
    const { kernel, log } = this.#parts;
    const { mtu, inside } = overlayNamed(overlays, network.overlay);
    // A pair that is gone went with its container; a new one would be no use to anybody.
    if (!hasPair(kernel, endpoint.id)) return;
    const { bridge, isolated } = network;
    const wish = { endpoint: endpoint.id, bridge, mac: endpoint.mac, mtu: network.mtu ?? mtu, isolated };
    const plugged = ensurePair(kernel, wish);
    const guarded = this.#protect(network, endpoint, inside, changed);
    if (plugged || guarded) log.warn("Docker endpoint repaired", { endpoint: endpoint.id.slice(0, 12), bridge });
  }

  /** Returns true when something was missing. */
  #protect(network: NetworkRecord, endpoint: EndpointRecord, inside: readonly Prefix[], changed: boolean): boolean {
    const { kernel, files } = this.#parts;
    const wish = { network, endpoint, inside };
    const missing = !isProtected(kernel, wish);
    if (missing || changed) protect(kernel, files, wish);
    return missing;
  }

  #attempt(kind: string, id: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#parts.log.error(`Docker ${kind} not as it should be`, { id: id.slice(0, 12), problem: messageOf(error) });
    }
  }
}
