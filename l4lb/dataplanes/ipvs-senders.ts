import type { IpvsDestination, IpvsOperation } from "../../kernel/ipvs.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Family, formatIp, type Ip } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { AddressKey } from "./ipvs-service.ts";

const UDP = 17;

/** UDP senders whose backend is about to be removed. The kernel ends their connections by itself, but a little later,
 *  and drops what comes until then; a sender that isn't tracked any more is balanced anew at once. */
export class IpvsSenders {
  /** Virtual address and port with the backend, as text. */
  readonly #doomed = new Set<string>();
  readonly #families = new Set<Family>();

  /** Looks before the steps are taken: only a backend that has senders is worth the search for them. */
  constructor(
    private readonly kernel: Kernel,
    steps: readonly IpvsOperation[],
  ) {
    for (const step of steps) {
      if (step.do !== "destination.delete" || "mark" in step.service || step.service.protocol !== UDP) continue;
      this.#note(step.service, step.destination);
    }
  }

  /** After the steps: makes the kernel forget the flows. Costs a walk through all tracked connections of the family, if
   *  there is anything to forget. Where connections can't be listed they are left to the kernel. */
  moveOn(): void {
    for (const family of this.#families) {
      try {
        this.kernel.conntrack.delete(
          family,
          ({ protocol, destination, destinationPort, replySource, replySourcePort }) =>
            protocol === UDP && this.#doomed.has(pathText(destination, destinationPort, replySource, replySourcePort)),
        );
      } catch (error) {
        if (!(error instanceof NetError) || error.code !== "unsupported") throw error;
      }
    }
  }

  #note(service: AddressKey, { ip, port }: Pick<IpvsDestination, "ip" | "port">): void {
    const present = this.kernel.ipvs.destinations(service);
    const busy = present.find((each) => each.port === port && each.ip.value === ip.value);
    if (busy === undefined || busy.active + busy.inactive === 0) return;
    this.#doomed.add(pathText(service.ip, service.port, ip, port));
    this.#families.add(service.ip.family);
  }
}

function pathText(vip: Ip, vipPort: number, backend: Ip, backendPort: number): string {
  return `${formatIp(vip)} ${vipPort} ${formatIp(backend)} ${backendPort}`;
}
