import type { IpvsDestination, IpvsOperation, IpvsServiceKey } from "../../kernel/ipvs.ts";
import { parseIp } from "../../lib/address.ts";

/** A command of ipvsadm(8) and the operation that means the same. */
export interface IpvsCase {
  readonly command: string;
  readonly operation: IpvsOperation;
}

/** The messages of the tool, in hexadecimal digits, and its version; and what the kernel answers when it lists the
 *  services and destinations of `IPVS_LISTED`: datagrams. */
export interface IpvsRecordings {
  readonly version: string;
  readonly replies: readonly string[];
  readonly recordings: readonly { readonly command: string; readonly hex: string }[];
}

const WEB: IpvsServiceKey = { protocol: 6, ip: parseIp("11.0.0.1"), port: 80 };
const WEB6: IpvsServiceKey = { protocol: 6, ip: parseIp("fd01:c::1"), port: 80 };
const DNS: IpvsServiceKey = { protocol: 17, ip: parseIp("11.0.0.2"), port: 53 };
const SCTP: IpvsServiceKey = { protocol: 132, ip: parseIp("11.0.0.3"), port: 9 };
const MARK: IpvsServiceKey = { family: 4, mark: 7 };
const PLAIN = { scheduler: "wlc", persistence: 0, onePacket: false, schedulerFlags: 0 };
const MASQUERADE = { forwarding: "masquerade", weight: 1 } as const;

function end(ip: string, port: number, rest: Partial<IpvsDestination> = {}): IpvsDestination {
  return { ip: parseIp(ip), port, ...MASQUERADE, ...rest };
}

/** Commands after which the kernel is asked for a list. */
export const IPVS_LISTED: readonly string[] = [
  "-A -t 11.0.0.1:80 -s wlc -p 300",
  "-a -t 11.0.0.1:80 -r 9.0.1.5:8080 -m -w 3",
  "-a -t 11.0.0.1:80 -r 9.0.1.6:8080 -m -w 0",
  "-A -u [fd01:c::1]:53 -s sh -b flag-3 -o",
  "-a -u [fd01:c::1]:53 -r [fd01:b::5]:53 -m",
  "-A -f 7 -s rr",
];

/** Every operation, with every field that its message can carry. Each is sent to an empty kernel, which refuses some:
 *  only what the tool says matters. */
export const IPVS_CASES: readonly IpvsCase[] = [
  { command: "-A -t 11.0.0.1:80 -s wlc", operation: { do: "service.add", service: { ...WEB, ...PLAIN } } },
  {
    command: "-A -t [fd01:c::1]:80 -s sh -b sh-fallback,sh-port",
    operation: { do: "service.add", service: { ...WEB6, ...PLAIN, scheduler: "sh", schedulerFlags: 3 } },
  },
  {
    command: "-A -u 11.0.0.2:53 -s rr -o",
    operation: { do: "service.add", service: { ...DNS, ...PLAIN, scheduler: "rr", onePacket: true } },
  },
  {
    command: "-A --sctp-service 11.0.0.3:9 -s mh -p 300",
    operation: { do: "service.add", service: { ...SCTP, ...PLAIN, scheduler: "mh", persistence: 300 } },
  },
  { command: "-A -f 7 -s wlc", operation: { do: "service.add", service: { ...MARK, ...PLAIN } } },
  {
    command: "-E -t 11.0.0.1:80 -s wlc -b flag-3",
    operation: { do: "service.set", service: { ...WEB, ...PLAIN, schedulerFlags: 4 } },
  },
  { command: "-D -t [fd01:c::1]:80", operation: { do: "service.delete", service: WEB6 } },
  {
    command: "-a -t 11.0.0.1:80 -r 9.0.1.5:8080 -m -w 65535",
    operation: { do: "destination.add", service: WEB, destination: end("9.0.1.5", 8080, { weight: 65_535 }) },
  },
  {
    command: "-a -f 7 -r 9.0.1.5:80 -g -w 0",
    operation: {
      do: "destination.add",
      service: MARK,
      destination: end("9.0.1.5", 80, { forwarding: "route", weight: 0 }),
    },
  },
  {
    command: "-a -t [fd01:c::1]:80 -r [fd01:b::5]:80 -i -w 2",
    operation: {
      do: "destination.add",
      service: WEB6,
      destination: end("fd01:b::5", 80, { forwarding: "tunnel", weight: 2 }),
    },
  },
  {
    command: "-e -u 11.0.0.2:53 -r 9.0.1.6:53 -m -w 0",
    operation: { do: "destination.set", service: DNS, destination: end("9.0.1.6", 53, { weight: 0 }) },
  },
  {
    command: "-d -t 11.0.0.1:80 -r 9.0.1.5:8080",
    operation: { do: "destination.delete", service: WEB, destination: end("9.0.1.5", 8080) },
  },
];
