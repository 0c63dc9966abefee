import { formatIp, type Ip, tryParseIp } from "../lib/address.ts";

/** A place where DNS is spoken, over UDP and TCP. */
export interface Endpoint {
  readonly ip: Ip;
  /** 0 lets the kernel choose, where it is one to listen on. */
  readonly port: number;
}

/** `10.0.0.1:53`, `[fd01::1]:53`; equal for equal endpoints. */
export function endpointText({ ip, port }: Endpoint): string {
  return ip.family === 4 ? `${formatIp(ip)}:${port}` : `[${formatIp(ip)}]:${port}`;
}

/** Where DNS is spoken when nothing else is said (RFC 1035 section 4.2). */
const DNS_PORT = 53;

/** `10.0.0.1`, `10.0.0.1:5353`, `fd01::1` or `[fd01::1]:5353`, on port 53 if none is named; undefined when it isn't
 *  one. */
export function tryParseUpstream(text: string): Endpoint | undefined {
  const alone = tryParseIp(text);
  if (alone !== undefined) return { ip: alone, port: DNS_PORT };
  const [, six, four, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const ip = tryParseIp(six ?? four ?? "");
  const port = Number(digits);
  if (ip === undefined || (six !== undefined) !== (ip.family === 6) || port < 1 || port > 65_535) return undefined;
  return { ip, port };
}
