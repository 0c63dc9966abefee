import type { Ip } from "../lib/address.ts";

/** What tells the virtual services of one namespace apart: protocol (6 tcp, 17 udp, 132 sctp), address and port, or a
 *  firewall mark for one family. */
export type IpvsServiceKey =
  | { readonly protocol: number; readonly ip: Ip; readonly port: number }
  | { readonly family: 4 | 6; readonly mark: number };

/** A virtual service (ip_vs_ctl.c). */
export type IpvsService = IpvsServiceKey & {
  /** Name of a scheduler: `wlc`, `rr`, `sh`, `mh`, …; the kernel loads its module. */
  readonly scheduler: string;
  /** Seconds for which a client stays with its destination (ipvsadm --persistent); 0 for none. */
  readonly persistence: number;
  /** Each packet is scheduled by itself (UDP only). */
  readonly onePacket: boolean;
  /** IP_VS_SVC_F_SCHED1, 2 and 3 as bits 1, 2 and 4 (ipvsadm --sched-flags): their meaning is the scheduler's. */
  readonly schedulerFlags: number;
};

/** How packets get to a destination; all but `masquerade` leave them as they are. */
export type IpvsForwarding = "masquerade" | "local" | "tunnel" | "route" | "bypass";

/** A real server of a service. */
export interface IpvsDestination {
  readonly ip: Ip;
  readonly port: number;
  readonly forwarding: IpvsForwarding;
  /** 0 … 2^31−1; 0: no new connections. */
  readonly weight: number;
}

/** Since the service or destination was added. */
export interface IpvsCounters {
  readonly connections: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export type IpvsServiceState = IpvsService & { readonly counters: IpvsCounters };

export interface IpvsDestinationState extends IpvsDestination {
  /** Established connections. */
  readonly active: number;
  /** Others: of UDP, and those of TCP that begin or end. */
  readonly inactive: number;
  readonly counters: IpvsCounters;
}

/** One change, named after the command of ipvsadm(8) that would do the same. Setting a service keeps its destinations
 *  and connections; deleting it, or a destination, ends the connections as net.ipv4.vs.expire_nodest_conn says. */
export type IpvsOperation =
  | { readonly do: "service.add" | "service.set"; readonly service: IpvsService }
  | { readonly do: "service.delete"; readonly service: IpvsServiceKey }
  | {
      readonly do: "destination.add" | "destination.set";
      readonly service: IpvsServiceKey;
      readonly destination: IpvsDestination;
    }
  | {
      readonly do: "destination.delete";
      readonly service: IpvsServiceKey;
      readonly destination: Pick<IpvsDestination, "ip" | "port">;
    };

/** IP Virtual Server of one namespace (linux/ip_vs.h). Everything throws a NetError `unsupported` on a kernel
 *  without. */
export interface Ipvs {
  /** Carries out the operations in order, many in one send. Stops at nothing: the answer has one entry for each,
   *  undefined for success. The errno names are the kernel's: EEXIST for what is there, ESRCH for a service that isn't,
   *  ENOENT for a destination or a scheduler that isn't; ENOBUFS when the answers were lost, and with them what became
   *  of the operation. */
  attempt(operations: readonly IpvsOperation[]): (Error | undefined)[];
  services(): IpvsServiceState[];
  /** Destinations of one service; empty when there is no such service. */
  destinations(service: IpvsServiceKey): IpvsDestinationState[];
}
