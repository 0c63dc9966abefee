import { tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { PortMapping } from "./runtime.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"] as const;

/** The host port written as `[ADDRESS:]HOST:CONTAINER[/PROTOCOL]`, an IPv6 address in brackets. Throws a NetError
 *  `invalid`. */
export function parsePublish(text: string): PortMapping {
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d{1,5}):(\d{1,5})(?:\/([a-z]+))?$/.exec(text);
  const [, address6, address4, host = "", container = "", name = "tcp"] = match ?? [];
  const hostPort = portOf(host, text);
  const containerPort = portOf(container, text);
  const protocol = PROTOCOLS.find((known) => known === name);
  if (protocol === undefined) throw refusal(text, `the protocol must be one of ${PROTOCOLS.join(", ")}`);
  const hostIP = address6 ?? address4;
  if (hostIP === undefined) return { hostPort, containerPort, protocol };
  if (tryParseIp(hostIP) === undefined) throw refusal(text, `${JSON.stringify(hostIP)} isn't an IP address`);
  return { hostPort, containerPort, protocol, hostIP };
}

function portOf(digits: string, text: string): number {
  const port = Number(digits);
  if (digits === "" || port < 1 || port > 65_535) throw refusal(text, "a port is a number from 1 to 65535");
  return port;
}

function refusal(text: string, said: string): NetError {
  return new NetError("invalid", {
    tried: `publish ${JSON.stringify(text.slice(0, 100))}`,
    said,
    remedy: "write for example 8080:80, 127.0.0.1:5353:53/udp or [fd77::1]:8080:80",
  });
}
