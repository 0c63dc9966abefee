import type { Kernel } from "../kernel/kernel.ts";
import { equalIp, type Ip, parseIp, parsePrefix } from "../lib/address.ts";
import type { Clock } from "../lib/clock.ts";
import type { Files } from "../lib/files.ts";
import type { Log } from "../lib/log.ts";
import { type Answer, answerCall } from "./answer.ts";
import { IpamDriver } from "./ipam.ts";
import { type Method, pluginMethods } from "./method.ts";
import { NetworkDriver } from "./network.ts";
import type { DockerOverlay } from "./overlay.ts";
import { type Ready, readyLater } from "./ready.ts";
import { DockerStore } from "./store.ts";

/** How long a call waits for what it needs, milliseconds. */
const WAIT_MS = 5000;

export interface DriverParts {
  readonly kernel: Kernel;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
  /** Directory of the records of networks and endpoints. */
  readonly stateDir: string;
  /** Directory of the leases, CNI's too. */
  readonly dataDir: string;
  readonly bootId: string;
}

/** Both drivers on one state: what the socket serves, and what repair works on. */
export class DockerDriver {
  readonly store: DockerStore;
  readonly network: NetworkDriver;
  readonly ipam: IpamDriver;
  readonly overlays: Ready<readonly DockerOverlay[]>;
  readonly #methods: ReadonlyMap<string, Method>;

  constructor({ kernel, files, clock, log, stateDir, dataDir, bootId }: DriverParts) {
    this.store = new DockerStore(files, stateDir, log);
    this.overlays = readyLater(clock, "the overlays of this node", WAIT_MS);
    this.ipam = new IpamDriver({
      place: { files, dataDir, bootId },
      clock,
      networks: () => this.store.networks(),
      isKept: (overlay, ip) => this.#isKept(overlay, ip),
      onRelease: (overlay, ip) => this.#released(overlay, ip),
    });
    this.network = new NetworkDriver({ kernel, files, clock, store: this.store, leases: this.ipam });
    this.#methods = pluginMethods(this.network, this.ipam);
  }

  /** Answers one call of Docker; never rejects. */
  answer(method: string, text: string): Promise<Answer> {
    return answerCall(this.#methods, this.overlays, method, text);
  }

  #isKept(overlay: string, ip: Ip): boolean {
    return this.store
      .networks()
      .filter((network) => network.overlay === overlay)
      .some(
        ({ id, pools }) =>
          pools.some(({ aux }) => aux.some((address) => equalIp(parseIp(address), ip))) ||
          this.store.endpoints(id).some((endpoint) => hasAddress(endpoint.addresses, ip)),
      );
  }

  /** Docker gives an address back when it has removed the endpoint. After an unclean stop it doesn't tell the network
   *  driver of that, only the IPAM driver. */
  #released(overlay: string, ip: Ip): void {
    for (const network of this.store.networks()) {
      if (network.overlay !== overlay) continue;
      const gone = this.store.endpoints(network.id).find(({ addresses }) => hasAddress(addresses, ip));
      if (gone !== undefined) this.network.forget(gone);
    }
  }
}

function hasAddress(addresses: readonly string[], ip: Ip): boolean {
  return addresses.some((address) => equalIp(parsePrefix(address).ip, ip));
}
