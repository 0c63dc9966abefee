import fc from "fast-check";
import { type Backend, compareBackends, type Service, serviceName, WEIGHT_MAX } from "../../l4lb/service.ts";
import { type Family, formatIp, parseIp } from "../../lib/address.ts";
import { BACKEND_PORT } from "./vip-network.ts";

/** Backends by address, or by address with a weight: `"10.88.0.11"`, `["10.88.0.12", 3]`. */
type Backends = readonly (string | readonly [address: string, weight: number])[];

/** `service("tcp 11.0.0.1:80", ["10.88.0.11", ["10.88.0.12", 3]])`: backends listen on port 8080. */
export function service(name: string, backends: Backends, changes: Partial<Service> = {}): Service {
  const [, protocol = "", address = "", port = ""] = /^(tcp|udp) \[?(.+?)\]?:(\d+)$/.exec(name) ?? [];
  return {
    protocol: protocol === "udp" ? "udp" : "tcp",
    ip: parseIp(address),
    port: Number(port),
    scheduler: "wlc",
    affinity: 0,
    backends: backends.map(backend).sort(compareBackends),
    ...changes,
  };
}

function backend(each: Backends[number]): Backend {
  const [address, weight] = typeof each === "string" ? [each, 1] : each;
  return { ip: parseIp(address), port: BACKEND_PORT, weight };
}

/** In the order of their names, for comparison. */
export function sorted(services: readonly Service[]): Service[] {
  return [...services].sort((a, b) => (serviceName(a) < serviceName(b) ? -1 : 1));
}

/** Any set of services, with few addresses and ports, so that they meet. */
export const services: fc.Arbitrary<Service[]> = fc
  .constantFrom<Family>(4, 6)
  .chain((family) => fc.uniqueArray(serviceOf(family), { selector: serviceName, maxLength: 8 }));

function serviceOf(family: Family): fc.Arbitrary<Service> {
  const host = fc.integer({ min: 1, max: 3 });
  const port = fc.constantFrom(1, 80, 443, 65_535);
  const backends = fc.uniqueArray(backendOf(family), {
    selector: ({ ip, port: own }) => `${formatIp(ip)} ${own}`,
    maxLength: 9,
  });
  return fc.record({
    protocol: fc.constantFrom("tcp", "udp"),
    ip: host.map((number) => parseIp(family === 4 ? `11.0.0.${number}` : `fd11::${number}`)),
    port,
    scheduler: fc.constantFrom("wlc", "rr", "sh", "mh"),
    affinity: fc.constantFrom(0, 0, 1, 300, 86_400),
    backends: backends.map((list) => list.sort(compareBackends)),
  });
}

function backendOf(family: Family): fc.Arbitrary<Backend> {
  return fc.record({
    ip: fc.integer({ min: 1, max: 5 }).map((number) => parseIp(family === 4 ? `10.99.0.${number}` : `fd99::${number}`)),
    port: fc.constantFrom(1, 8080, 65_535),
    weight: fc.oneof(fc.constantFrom(0, 1, 1, 1, WEIGHT_MAX), fc.integer({ min: 0, max: WEIGHT_MAX })),
  });
}
