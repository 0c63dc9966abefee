import { equalIp } from "../lib/address.ts";
import type { Change } from "./dataplane.ts";
import { type Backend, backendName, compareBackends, type Service, serviceName } from "./service.ts";

/** The steps from the services that a kernel has to those that it should have: first what goes, so that its backends
 *  are free for others, then what is new or differs. Nothing for services that are as they should be. */
export function planServices(have: Iterable<Service>, want: Iterable<Service>): Change[] {
  const left = new Map([...have].map((service) => [serviceName(service), service]));
  const puts: Change[] = [];
  for (const service of want) {
    const name = serviceName(service);
    const before = left.get(name);
    left.delete(name);
    if (before === undefined || !equalServices(before, service)) puts.push({ do: "put", service, before });
  }
  const deletes = [...left.values()].map((before): Change => ({ do: "delete", key: before, before }));
  return [...deletes, ...puts];
}

/** A service as it is wanted, with what the kernel has of it besides: for a table that may be known in part only, so
 *  that what isn't wanted may merely not be known yet. */
export function withoutLosses(have: Service | undefined, want: Service | undefined): Service | undefined {
  if (have === undefined || want === undefined) return want ?? have;
  const wanted = new Set(want.backends.map(backendName));
  const others = have.backends.filter((backend) => !wanted.has(backendName(backend)));
  return { ...want, backends: [...want.backends, ...others].sort(compareBackends) };
}

/** True when a data plane has nothing to do to get from one to the other. Backends are in ascending order in both. */
export function equalServices(a: Service, b: Service): boolean {
  if (a === b) return true;
  return (
    serviceName(a) === serviceName(b) &&
    a.scheduler === b.scheduler &&
    a.affinity === b.affinity &&
    a.backends.length === b.backends.length &&
    a.backends.every((backend, index) => equalBackends(backend, b.backends[index]))
  );
}

function equalBackends(a: Backend, b: Backend | undefined): boolean {
  return b !== undefined && a.port === b.port && a.weight === b.weight && equalIp(a.ip, b.ip);
}
