import { formatIp, type Ip, tryParseIp } from "../lib/address.ts";
import { dcosFragment } from "../lib/dcos-label.ts";
import type { VipProtocol } from "./service.ts";

/** Where a virtual IP is: at an address that its label says, or at one that is found for its name. */
export type VipPlace =
  | { readonly kind: "ip"; readonly ip: Ip }
  /** `name`: as in DNS before the zone, `app.marathon`. `label` and `framework` are its two parts. */
  | { readonly kind: "name"; readonly name: string; readonly label: string; readonly framework: string };

/** What tells virtual IPs apart: place, protocol and port. */
export interface Vip {
  readonly protocol: VipProtocol;
  readonly place: VipPlace;
  /** 1 … 65535. */
  readonly port: number;
}

/** A label that can't be used, and why, in words that follow its value. */
export interface BadLabel {
  readonly problem: string;
}

/** Characters of a name at most: with `.l4lb.thisdcos.directory` it is a name in DNS (RFC 1035 section 2.3.4). */
const NAME_MOST = 253 - ".l4lb.thisdcos.directory".length;

/**
 * Reads the value of a VIP label, `<name or address>:<port>`, split at its last colon. An address is IPv4, or IPv6 with
 * or without brackets; everything else is a name, which together with the framework's is the name in DNS: `/app:80` and
 * `app:80` of one framework are one virtual IP, since nobody could tell them apart. (dcos_l4lb_mesos_poller:key/3, for
 * which brackets are part of a name, and these are two with one name.)
 */
export function readVipLabel(value: string, framework: string): Omit<Vip, "protocol"> | BadLabel {
  const colon = value.lastIndexOf(":");
  const digits = value.slice(colon + 1);
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
  if (colon < 1) return { problem: "is not <name or address>:<port>, such as /app:80" };
  if (port < 1 || port > 65_535) return { problem: "has no port from 1 to 65535 after its last colon" };
  const place = placeOf(value.slice(0, colon), framework);
  return "problem" in place ? place : { place, port };
}

function placeOf(text: string, framework: string): VipPlace | BadLabel {
  const ip = tryParseIp(/^\[(.+)\]$/.exec(text)?.[1] ?? text);
  if (ip !== undefined) return isUsable(ip) ? { kind: "ip", ip } : { problem: "is an address that is nobody's own" };
  const [label, suffix] = [dcosFragment(text), dcosFragment(framework)];
  if (label === "") return { problem: "has no letter or digit in its name" };
  const name = suffix === "" ? label : `${label}.${suffix}`;
  if (name.length > NAME_MOST) return { problem: `would have a name of more than ${NAME_MOST} characters in DNS` };
  return { kind: "name", name, label, framework: suffix };
}

/** False for unspecified, loopback, link-local and multicast addresses and for broadcast: whoever took these away from
 *  a node would break it. */
function isUsable({ family, value }: Ip): boolean {
  if (family === 6) return value > 1n && value >> 118n !== 0x3fan && value >> 120n !== 0xffn;
  const first = Number(value >> 24n);
  return first !== 0 && first !== 127 && first < 224 && Number(value >> 16n) !== 0xa9fe;
}

/** A virtual IP as text, unique: `tcp app.marathon:80`, `tcp ip 10.1.2.3:80`, `udp ip [fd01::1]:53`. */
export function vipText({ protocol, place, port }: Vip): string {
  if (place.kind === "name") return `${protocol} ${place.name}:${port}`;
  const address = formatIp(place.ip);
  return `${protocol} ip ${place.ip.family === 6 ? `[${address}]` : address}:${port}`;
}
