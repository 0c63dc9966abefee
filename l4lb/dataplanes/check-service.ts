import { equalIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { backendName, type Service, serviceName, WEIGHT_MAX } from "../service.ts";

/** Most backends of one service. */
export const BACKENDS_MAX = 4096;
const PORT_MAX = 65_535;
const AFFINITY_MAX = 86_400;

/** Throws a NetError `invalid` for a service that no kernel can carry out as it is meant. */
export function checkService(service: Service): void {
  const said = fault(service);
  if (said === undefined) return;
  throw new NetError("invalid", { tried: `balance ${serviceName(service)}`, said, remedy: "correct the service" });
}

function fault(service: Service): string | undefined {
  const { ip, port, affinity, backends } = service;
  if (!isWhole(port, 1, PORT_MAX)) return `${port} is no port`;
  if (!isWhole(affinity, 0, AFFINITY_MAX)) return `an affinity of ${affinity} s is not within 0 and ${AFFINITY_MAX}`;
  if (backends.length > BACKENDS_MAX) return `it has ${backends.length} backends, more than ${BACKENDS_MAX}`;
  if (new Set(backends.map(backendName)).size < backends.length) return "a backend comes twice";
  for (const backend of backends) {
    const name = backendName(backend);
    if (backend.ip.family !== ip.family) return `backend ${name} is of another family`;
    if (equalIp(backend.ip, ip) && backend.port === port) return `backend ${name} is the service itself`;
    if (!isWhole(backend.port, 1, PORT_MAX)) return `backend ${name} has no valid port`;
    if (!isWhole(backend.weight, 0, WEIGHT_MAX)) return `backend ${name} has weight ${backend.weight}`;
  }
  return undefined;
}

function isWhole(number: number, least: number, most: number): boolean {
  return Number.isInteger(number) && number >= least && number <= most;
}
