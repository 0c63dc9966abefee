import type { Backend, Service, ServiceKey } from "./service.ts";

/** The kernel mechanisms that can carry virtual IPs. */
export type DataplaneKind = "ipvs" | "nftables" | "socket";

/** One step from what the kernel has to what it should have. */
export type Change =
  /** Makes the service as it is said. `before`: what the kernel has of it, as far as is known; undefined when it has
   *  none. Connections to backends that stay, also with weight 0, are not disturbed; those to backends that are not
   *  among the new ones any more are ended, UDP flows included. */
  | { readonly do: "put"; readonly service: Service; readonly before: Service | undefined }
  /** Removes the service and ends its connections; one that isn't there is no error. */
  | { readonly do: "delete"; readonly key: ServiceKey; readonly before: Service | undefined };

/** What a backend carries. A number that the data plane can't tell is absent. */
export interface BackendCounters extends Pick<Backend, "ip" | "port"> {
  /** Connections now, those that end included. */
  readonly active?: number;
  /** Connections since the backend was added. */
  readonly total?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
}

export interface ServiceCounters {
  readonly key: ServiceKey;
  readonly backends: readonly BackendCounters[];
}

/** What stands of what a data plane needs besides services: its table, device, routes, rules, programs, settings. */
export interface Foundation {
  /** What was missing or wrong and was made anew, each named for people: `table inet dcos_l4lb`. Empty when all
   *  stood. */
  readonly made: readonly string[];
  /** What this machine can't have of it, and why, in words: some clients can't be served. Absent when nothing. */
  readonly lacking?: readonly string[];
}

/** One kernel mechanism for virtual IPs in one network namespace. All of them behave alike, which one suite of tests
 *  proves (test/support/vip-behaviour.ts). Calls are synchronous. Restart of the caller changes nothing in the kernel:
 *  a new object finds what an earlier one left, and takes it over. Objects that aren't ours are never touched. */
export interface Dataplane {
  readonly kind: DataplaneKind;
  /** Brings up what services need, as far as it isn't there, without disturbing connections. Throws a NetError when the
   *  kernel can't. */
  prepare(): Foundation;
  /** Reads back the services that the kernel has now, whoever changed them, so that a comparison with the table
   *  finds any damage. A service that is there in part (a backend, a rule or an address is missing) is
   *  reported as it is, or left out, so that the plan puts it anew. */
  read(): Service[];
  /** True when prepare() and read() would find everything as the last calls left it, and nothing else is due: asked
   *  before a comparison, and cheap however many services there are. Absent where only a comparison can tell. */
  isQuiet?(): boolean;
  /** Carries out the changes in order, many in one message where possible; cost is that of the changes, not of what is
   *  there. Stops at nothing: one entry for each change, undefined for success. After a failed change the kernel
   *  has the service as before, as wanted, or in part, but never another service's. */
  apply(changes: readonly Change[]): (Error | undefined)[];
  /** What services and backends have carried. Costs a dump. */
  counters(): ServiceCounters[];
  /** Takes away everything that is ours: services, then the foundation. */
  remove(): void;
  /** Lets go of sockets and handles; the kernel stays as it is. */
  close(): void;
}
