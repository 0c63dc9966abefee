import { networkInterfaces } from "node:os";
import { InvalidArgumentError } from "commander";
import { type Endpoint, endpointText, tryParseUpstream } from "../../dns/endpoint.ts";
import { Forwarder } from "../../dns/forward/forwarder.ts";
import { systemNetwork } from "../../dns/forward/network.ts";
import type { ForwardZone } from "../../dns/forward/route.ts";
import { parseName } from "../../dns/name.ts";
import { parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Files } from "../../lib/files.ts";
import type { Log } from "../../lib/log.ts";

export interface ForwardingOptions {
  readonly zones: readonly ForwardZone[];
  /** Where the server of this process listens. */
  readonly listen: readonly Endpoint[];
  /** Memory for answers, bytes. */
  readonly cacheBytes: number;
  readonly log: Log;
  /** Milliseconds after which a client gets the answer that no upstream has answered; undefined for the usual time. */
  readonly deadlineMs?: number;
}

/** Asks others over the machine's own network. Throws a NetError `invalid` for an upstream that is this server. */
export function startForwarder({ listen, ...rest }: ForwardingOptions): Forwarder {
  return new Forwarder({
    ...rest,
    own: listen.flatMap(ownEndpoints),
    network: systemNetwork,
    clock: systemClock,
    random: unpredictable,
  });
}

/** The name servers of `/etc/resolv.conf` (resolv.conf(5)) but those at which this server listens; none when there is
 *  no such file. */
export function hostResolvers(files: Files, listen: readonly Endpoint[]): readonly Endpoint[] {
  const text = new TextDecoder().decode(files.read("/etc/resolv.conf") ?? new Uint8Array(0));
  const own = new Set(listen.flatMap(ownEndpoints).map(endpointText));
  const servers = text.split("\n").flatMap((line) => {
    const [, address = ""] = /^nameserver\s+([^\s%]+)\s*$/.exec(line) ?? [];
    return tryParseUpstream(address) ?? [];
  });
  return servers.filter((server) => !own.has(endpointText(server)));
}

/** An endpoint with each address of this machine in place of "any address". */
function ownEndpoints({ ip, port }: Endpoint): Endpoint[] {
  if (ip.value !== 0n) return [{ ip, port }];
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const ips = addresses.map(({ address }) => parseIp(address.replace(/%.*$/, "")));
  return ips.filter(({ family }) => family === ip.family).map((each) => ({ ip: each, port }));
}

/** A number from 0 to 1 that nobody can foresee. */
export function unpredictable(): number {
  if (used === numbers.length) {
    crypto.getRandomValues(numbers);
    used = 0;
  }
  return (numbers[used++] ?? 0) / 2 ** 32;
}

const numbers = new Uint32Array(1024);
let used = numbers.length;

/** `10.0.0.1:53`, port 53 if none is named, for an option of a command. */
export function parseUpstream(text: string): Endpoint {
  const upstream = tryParseUpstream(text);
  if (upstream !== undefined) return upstream;
  throw new InvalidArgumentError("needed is <IP>, <IPv4>:<port> or [<IPv6>]:<port>");
}

/** `corp.example=10.0.0.1,10.0.0.2:5353`, for an option of a command. */
export function parseForwardZone(text: string): ForwardZone {
  const [name = "", list = ""] = text.split(/=(.*)/s);
  const zone = parseName(name);
  if (zone === undefined || list === "") throw new InvalidArgumentError("needed is <zone>=<upstream>[,<upstream>...]");
  return { zone, upstreams: list.split(",").map(parseUpstream) };
}
