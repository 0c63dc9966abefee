import type { Conntrack } from "../../kernel/conntrack.ts";
import type { Ipvs } from "../../kernel/ipvs.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Nftables } from "../../kernel/nftables.ts";
import { NetError } from "../../lib/error.ts";

/** How a call fails. `isDone`: it was carried out all the same, and only its answer was lost. */
export interface Failure {
  readonly errno: "ENOBUFS" | "EBUSY" | "EINTR" | "ENOMEM";
  readonly isDone: boolean;
}

/** Decides about each call to the kernel that may fail; undefined lets it pass. */
export type Decide = () => Failure | undefined;

function refusal({ errno }: Failure): NetError {
  return new NetError("kernel", { tried: "talk to the kernel", said: `${errno} (a test says so)`, errno });
}

/** Carries out `action`, or not, and throws, as it is decided. */
function perhaps<T>(decide: Decide, action: () => T): T {
  const failure = decide();
  if (failure === undefined) return action();
  if (failure.isDone) action();
  throw refusal(failure);
}

/** A batch of which each member fails by itself. */
function perhapsEach<T>(
  decide: Decide,
  operations: readonly T[],
  attempt: (operations: readonly T[]) => (Error | undefined)[],
): (Error | undefined)[] {
  return operations.map((operation) => {
    const failure = decide();
    const outcome = failure === undefined || failure.isDone ? attempt([operation])[0] : undefined;
    return failure === undefined ? outcome : refusal(failure);
  });
}

/** A kernel whose changes and dumps fail now and then. Namespaces and the state of links don't. */
export function failingKernel(kernel: Kernel, decide: Decide): Kernel {
  const attempt: Kernel["attempt"] = (operations) => perhapsEach(decide, operations, (some) => kernel.attempt(some));
  const overrides: Partial<Kernel> = {
    attempt,
    apply(operations) {
      for (const error of attempt(operations)) if (error !== undefined) throw error;
    },
    routes: (filter) => perhaps(decide, () => kernel.routes(filter)),
    setSysctl: (path, value) => perhaps(decide, () => kernel.setSysctl(path, value)),
    nftables: failingNftables(kernel.nftables, decide),
    conntrack: failingConntrack(kernel.conntrack, decide),
    ipvs: failingIpvs(kernel.ipvs, decide),
  };
  return new Proxy(kernel, {
    get(target, name) {
      if (Object.hasOwn(overrides, name)) return Reflect.get(overrides, name);
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function failingNftables(nftables: Nftables, decide: Decide): Nftables {
  return {
    run: (commands) => perhaps(decide, () => nftables.run(commands)),
    elements: (...set) => perhaps(decide, () => nftables.elements(...set)),
    chains: (...table) => perhaps(decide, () => nftables.chains(...table)),
    table: (...table) => perhaps(decide, () => nftables.table(...table)),
    changeElements: (...change) => perhaps(decide, () => nftables.changeElements(...change)),
    rawElements: (...set) => perhaps(decide, () => nftables.rawElements(...set)),
    watch: (...table) => nftables.watch(...table),
    generation: () => nftables.generation(),
    outline: (...table) => perhaps(decide, () => nftables.outline(...table)),
  };
}

function failingConntrack(conntrack: Conntrack, decide: Decide): Conntrack {
  return {
    list: (family) => perhaps(decide, () => conntrack.list(family)),
    delete: (...flows) => perhaps(decide, () => conntrack.delete(...flows)),
  };
}

function failingIpvs(ipvs: Ipvs, decide: Decide): Ipvs {
  return {
    attempt: (operations) => perhapsEach(decide, operations, (some) => ipvs.attempt(some)),
    services: () => perhaps(decide, () => ipvs.services()),
    destinations: (service) => perhaps(decide, () => ipvs.destinations(service)),
  };
}
