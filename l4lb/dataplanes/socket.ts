import { NetError } from "../../lib/error.ts";
import type { Change, Dataplane, Foundation, ServiceCounters } from "../dataplane.ts";
import type { Service } from "../service.ts";
import { ConnectionEnder } from "./socket-end.ts";
import { fingerprint } from "./socket-fingerprint.ts";
import { SocketFoundation, type SocketPlaces } from "./socket-foundation.ts";
import { serviceKey } from "./socket-layout.ts";
import { readCounters, readServices } from "./socket-read.ts";
import { sweep } from "./socket-sweep.ts";
import { writeChanges } from "./socket-write.ts";

/** Virtual IPs by eBPF programs at the system calls of sockets: a connection to a service is made to a backend from
 *  the start, so that its packets cost nothing. It reaches the processes of a control group, in whichever network
 *  namespace they are. */
export function openSocketDataplane(places: SocketPlaces): Dataplane {
  return new SocketDataplane(new SocketFoundation(places));
}

class SocketDataplane implements Dataplane {
  readonly kind = "socket";
  readonly #ender = new ConnectionEnder();
  #broken: ReadonlySet<string> = new Set();
  /** The fingerprint of what was read last; undefined when we have changed it since. */
  #read: bigint | undefined;

  constructor(private readonly foundation: SocketFoundation) {}

  prepare(): Foundation {
    const made = this.foundation.prepare();
    const maps = this.foundation.maps();
    if (maps === undefined) return { made };
    const { repaired, broken } = sweep(maps, this.#broken);
    this.#broken = broken;
    this.#ender.end(maps, (service) => !broken.has(service));
    return { made: [...made, ...repaired] };
  }

  read(): Service[] {
    const maps = this.foundation.maps();
    if (maps === undefined) return [];
    this.#read = fingerprint(maps);
    return readServices(maps);
  }

  isQuiet(): boolean {
    const maps = this.foundation.maps();
    if (maps === undefined || this.#read === undefined) return false;
    if (this.#broken.size > 0 || this.#ender.isLooking || !this.foundation.stands()) return false;
    return fingerprint(maps) === this.#read;
  }

  apply(changes: readonly Change[]): (Error | undefined)[] {
    const maps = this.foundation.maps();
    if (maps === undefined) return changes.map(() => unprepared());
    this.#read = undefined;
    const { outcome, bereft } = writeChanges(maps, changes);
    if (bereft.length === 0) return outcome;
    const concerned = new Set(bereft.map((index) => keyOf(changes[index])));
    try {
      this.#ender.end(maps, (service) => concerned.has(service));
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      for (const index of bereft) outcome[index] ??= error;
    }
    return outcome;
  }

  counters(): ServiceCounters[] {
    const maps = this.foundation.maps();
    return maps === undefined ? [] : readCounters(maps);
  }

  /** Connections stay: they are direct ones, and whatever carries virtual IPs next doesn't touch them. */
  remove(): void {
    this.foundation.remove();
  }

  close(): void {
    this.foundation.close();
  }
}

function unprepared(): NetError {
  return new NetError("unavailable", {
    tried: "change services of the socket data plane",
    said: "its maps aren't there",
    remedy: "prepare it first",
  });
}

/** The service that a change is about, by its key in hexadecimal digits. */
function keyOf(change: Change | undefined): string | undefined {
  if (change === undefined) return undefined;
  return serviceKey(change.do === "put" ? change.service : change.key).toHex();
}
