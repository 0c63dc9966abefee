import { equalIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { type Backend, backendName, compareBackends, type Service, serviceName, WEIGHT_MAX } from "../service.ts";

/** Most backends of one service: the socket data plane numbers them with 16 bits. */
export const BACKENDS_MAX = 65_535;
const PORT_MAX = 65_535;
const AFFINITY_MAX = 86_400;

/** Throws a NetError `invalid` for a service that no kernel can carry out as it is meant. */
export function checkService(service: Service): void {
  const said = fault(service);
  if (said === undefined) return;
  throw new NetError("invalid", { tried: `balance ${serviceName(service)}`, said, remedy: "correct the service" });
}

function fault(service: Service): string | undefined {
  const { port, affinity, backends } = service;
  if (!isWhole(port, 1, PORT_MAX)) return `${port} is no port`;
  if (!isWhole(affinity, 0, AFFINITY_MAX)) return `an affinity of ${affinity} s is not within 0 and ${AFFINITY_MAX}`;
  if (backends.length > BACKENDS_MAX) return `it has ${backends.length} backends, more than ${BACKENDS_MAX}`;
  for (const [index, backend] of backends.entries()) {
    const said = backendFault(service, backend, backends[index - 1]);
    if (said !== undefined) return `backend ${backendName(backend)} ${said}`;
  }
  return undefined;
}

function backendFault({ ip, port }: Service, backend: Backend, previous: Backend | undefined): string | undefined {
  if (backend.ip.family !== ip.family) return "is of another family";
  if (equalIp(backend.ip, ip) && backend.port === port) return "is the service itself";
  if (!isWhole(backend.port, 1, PORT_MAX)) return "has no valid port";
  if (!isWhole(backend.weight, 0, WEIGHT_MAX)) return `has weight ${backend.weight}`;
  const order = previous === undefined ? -1 : compareBackends(previous, backend);
  if (order === 0) return "comes twice";
  return order > 0 ? "is not in ascending order" : undefined;
}

function isWhole(number: number, least: number, most: number): boolean {
  return Number.isInteger(number) && number >= least && number <= most;
}
