import type { IpvsDestinationState, IpvsOperation, IpvsServiceState } from "../../kernel/ipvs.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp, type Ip } from "../../lib/address.ts";
import { hasErrno, NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { BackendCounters, Change, Dataplane, Foundation, ServiceCounters } from "../dataplane.ts";
import { compareBackends, type Service, type ServiceKey, serviceName } from "../service.ts";
import { checkService } from "./check-service.ts";
import { IpvsAddresses } from "./ipvs-addresses.ts";
import { IpvsEverywhere } from "./ipvs-everywhere.ts";
import { type IpvsFirewall, ipvsFirewall, NO_FIREWALL } from "./ipvs-firewall.ts";
import { IpvsNamespaces } from "./ipvs-namespaces.ts";
import { IpvsSenders } from "./ipvs-senders.ts";
import {
  FALLBACK,
  ipvsKey,
  isMarked,
  marked,
  readService,
  SCHEDULER_MOST,
  serviceKey,
  stepsTo,
} from "./ipvs-service.ts";
import { ipvsSettings } from "./ipvs-settings.ts";

export interface IpvsOptions {
  /** Release of the running kernel, as `uname -r` prints it: what some settings depend on. */
  readonly release: string;
  /** 0 ≤ number < 1, as Math.random: among backends that are equal the kernel takes the last one added, which would be
   *  the same for every service and on every node. */
  readonly random: () => number;
  /** Where the CNI plugin `dcos-l4lb` names the namespaces of containers that have no way to this one: they get all
   *  virtual IPs too. None when absent. */
  readonly namespaces?: { readonly files: Pick<Files, "list" | "read">; readonly directory: string };
}

/** Virtual IPs on the kernel's IP Virtual Server, in the namespace of `kernel`, which stays the caller's. What it keeps
 *  there is told in README.md of this folder. */
export function openIpvsDataplane(kernel: Kernel, options: IpvsOptions): Dataplane {
  const { namespaces } = options;
  const own = new IpvsDataplane(kernel, options, false);
  if (namespaces === undefined) return own;
  const open = (inner: Kernel) => new IpvsDataplane(inner, options, true);
  return new IpvsEverywhere(own, new IpvsNamespaces({ kernel, ...namespaces, open }));
}

/** One change on its way to the kernel. */
interface Task {
  readonly change: Change;
  readonly key: ServiceKey;
  steps: readonly IpvsOperation[];
  /** The first refusal that isn't made good. */
  error: Error | undefined;
}

class IpvsDataplane implements Dataplane {
  readonly kind = "ipvs";
  readonly #addresses: IpvsAddresses;
  readonly #firewall: IpvsFirewall;
  /** Names of the services that are ours; undefined before they were read for the first time. */
  #own: Set<string> | undefined;

  constructor(
    private readonly kernel: Kernel,
    private readonly options: IpvsOptions,
    ownClients: boolean,
  ) {
    this.#addresses = new IpvsAddresses(kernel);
    this.#firewall = ownClients ? NO_FIREWALL : ipvsFirewall(kernel);
  }

  prepare(): Foundation {
    this.#addresses.load();
    const inherited = this.#inherit();
    const own = this.#ownServices();
    // The settings appear with the module, which the first question for services has loaded.
    const made = [...this.#settings(), ...inherited];
    made.push(...this.#addresses.prepare(unique(own.map(({ key }) => key.ip))));
    made.push(...this.#firewall.prepare(this.#addresses.all()));
    const { lacking } = this.#firewall;
    return lacking === undefined ? { made } : { made, lacking: [`masquerading: ${lacking}`] };
  }

  read(): Service[] {
    return this.#ownServices().map(({ key, state }) => this.#whole(key, state));
  }

  apply(changes: readonly Change[]): (Error | undefined)[] {
    const own = this.#known();
    const tasks = changes.map((change): Task => {
      const key = change.do === "put" ? change.service : change.key;
      const error = faultOf(change);
      if (error !== undefined) return { change, key, steps: [], error };
      return { change, key, steps: this.#stepsOf(change, own), error: crowdingOf(change) };
    });
    const senders = new IpvsSenders(
      this.kernel,
      tasks.flatMap(({ steps }) => steps),
    );
    const surprised = this.#attempt(tasks, isSurprise);
    if (surprised.length > 0) {
      this.#replan(surprised);
      this.#attempt(surprised, () => false);
    }
    senders.moveOn();
    for (const { change, key, error } of tasks) {
      if (change.do === "delete" && error === undefined) own.delete(serviceName(key));
      if (change.do === "put" && !isConflict(error)) own.add(serviceName(key));
    }
    this.#address(tasks);
    return tasks.map(({ error }) => error);
  }

  counters(): ServiceCounters[] {
    return this.#ownServices().map(({ key }) => ({
      key,
      backends: this.kernel.ipvs.destinations(ipvsKey(key)).sort(compareBackends).map(countersOf),
    }));
  }

  remove(): void {
    const doomed = this.#ownServices().map(({ key }) => ({ do: "service.delete", service: ipvsKey(key) }) as const);
    const outcome = this.kernel.ipvs.attempt(doomed);
    this.#addresses.remove();
    this.#firewall.remove();
    this.#own = undefined;
    for (const error of outcome) if (error !== undefined && !hasErrno(error, "ESRCH")) throw error;
  }

  close(): void {
    this.#own = undefined;
  }

  #known(): Set<string> {
    if (this.#own === undefined) {
      this.#addresses.load();
      this.#ownServices();
    }
    return this.#own ?? new Set();
  }

  /** Reads the services that are ours: those that bear our mark, and those that this object has put and from which
   *  somebody has taken it. */
  #ownServices(): Found[] {
    const found = this.kernel.ipvs.services().flatMap((state) => {
      const key = serviceKey(state);
      if (key === undefined) return [];
      return isMarked(state) || this.#own?.has(serviceName(key)) === true ? [{ key, state }] : [];
    });
    this.#own = new Set(found.map(({ key }) => serviceName(key)));
    return found;
  }

  #whole(key: ServiceKey, state: IpvsServiceState): Service {
    return readService(key, state, this.kernel.ipvs.destinations(ipvsKey(key)));
  }

  /** Services without our mark on addresses that the reference has left are the reference's: they get the mark. */
  #inherit(): string[] {
    if (!this.#addresses.all().some((ip) => this.#addresses.isInherited(ip))) return [];
    const inherited = this.kernel.ipvs.services().flatMap((state) => {
      const key = serviceKey(state);
      return key !== undefined && !isMarked(state) && this.#addresses.isInherited(key.ip) ? [{ key, state }] : [];
    });
    throwFirst(this.kernel.ipvs.attempt(inherited.map(({ state }) => ({ do: "service.set", service: marked(state) }))));
    return inherited.map(({ key }) => `mark of virtual service ${serviceName(key)}`);
  }

  #settings(): string[] {
    return ipvsSettings(this.options.release).flatMap(({ path, value }) => {
      const present = this.kernel.sysctl(path);
      if (present === undefined || present === value) return [];
      this.kernel.setSysctl(path, value);
      return [`setting ${path.replaceAll("/", ".")} = ${value}`];
    });
  }

  /** What isn't ours is never deleted. */
  #stepsOf(change: Change, own: ReadonlySet<string>): IpvsOperation[] {
    if (change.do === "put") {
      const { service } = change;
      const wanted = crowdingOf(change) === undefined ? service : { ...service, scheduler: FALLBACK };
      return stepsTo(wanted, change.before, this.options.random);
    }
    return own.has(serviceName(change.key)) ? [{ do: "service.delete", service: ipvsKey(change.key) }] : [];
  }

  /** Sends the steps of all tasks and notes what was refused, but for refusals that are worth a second look: returns
   *  the tasks that have such. */
  #attempt(tasks: readonly Task[], deservesLook: (error: Error) => boolean): Task[] {
    const steps = tasks.flatMap((task) => task.steps.map((step) => ({ task, step })));
    const outcome = this.kernel.ipvs.attempt(steps.map(({ step }) => step));
    const again = new Set<Task>();
    for (const [index, { task, step }] of steps.entries()) {
      const error = outcome[index];
      if (error === undefined || (step.do === "service.delete" && hasErrno(error, "ESRCH"))) continue;
      if (step.do.startsWith("service.") && hasErrno(error, "ENOENT")) task.error ??= withoutScheduler(task, error);
      if (deservesLook(error)) again.add(task);
      else task.error ??= error;
    }
    return [...again];
  }

  /** Plans tasks anew from what the kernel has, which wasn't what we had thought. */
  #replan(tasks: readonly Task[]): void {
    const states = new Map(
      this.kernel.ipvs.services().flatMap((state) => {
        const key = serviceKey(state);
        return key === undefined ? [] : [[serviceName(key), { key, state }] as const];
      }),
    );
    for (const task of tasks) {
      const { change } = task;
      if (change.do === "delete") continue;
      const found = states.get(serviceName(task.key));
      const foreign = found !== undefined && !isMarked(found.state) && !this.#own?.has(serviceName(task.key));
      if (foreign) task.error = conflict(task.key);
      const wanted = task.error === undefined ? change.service : { ...change.service, scheduler: FALLBACK };
      task.steps = foreign ? [] : stepsTo(wanted, found && this.#whole(found.key, found.state), this.options.random);
    }
  }

  /** Makes the addresses of what was put the node's own. After the services: before them somebody else would answer. */
  #address(tasks: readonly Task[]): void {
    const put = tasks.filter(({ change, error }) => change.do === "put" && !isConflict(error));
    const added = unique(put.map(({ key }) => key.ip)).filter((ip) => !this.#addresses.has(ip));
    if (added.length === 0) return;
    const refusals = new Map<string, Error>();
    try {
      this.#firewall.change(added);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      for (const ip of added) refusals.set(formatIp(ip), error);
    }
    for (const [index, error] of this.#addresses.add(added).entries()) {
      const ip = added[index];
      if (error !== undefined && ip !== undefined) refusals.set(formatIp(ip), error);
    }
    for (const task of put) task.error ??= refusals.get(formatIp(task.key.ip));
  }
}

function faultOf(change: Change): Error | undefined {
  try {
    if (change.do === "put") checkService(change.service);
    return undefined;
  } catch (error) {
    if (error instanceof NetError) return error;
    throw error;
  }
}

/** Says so when a scheduler has no room for so many backends. */
function crowdingOf(change: Change): Error | undefined {
  if (change.do === "delete") return undefined;
  const { scheduler, backends } = change.service;
  const most = SCHEDULER_MOST[scheduler] ?? backends.length;
  if (backends.length <= most) return undefined;
  return new NetError("unsupported", {
    tried: `balance ${serviceName(change.service)} by ${scheduler}`,
    said: `IPVS has room for ${most} backends there, and it has ${backends.length}, so ${FALLBACK} is used`,
    remedy: "choose another scheduler",
  });
}

function countersOf({ ip, port, active, inactive, counters }: IpvsDestinationState): BackendCounters {
  const { connections, bytesIn, bytesOut } = counters;
  return { ip, port, active: active + inactive, total: connections, bytesIn, bytesOut };
}

interface Found {
  readonly key: ServiceKey;
  readonly state: IpvsServiceState;
}

/** A refusal that says that the kernel has something else than we had thought; or not this scheduler. */
function isSurprise(error: Error): boolean {
  return ["EEXIST", "ESRCH", "ENOENT"].some((errno) => hasErrno(error, errno));
}

function withoutScheduler({ change, key }: Task, cause: Error): NetError {
  const wanted = change.do === "put" ? change.service.scheduler : FALLBACK;
  return new NetError("unsupported", {
    tried: `balance ${serviceName(key)} by ${wanted}`,
    said: `the kernel has no such scheduler, so ${FALLBACK} is used`,
    remedy: `load its module (modprobe ip_vs_${wanted === "rr" ? "wrr" : wanted})`,
    errno: "ENOENT",
    cause,
  });
}

function conflict(key: ServiceKey): NetError {
  return new NetError("conflict", {
    tried: `add virtual service ${serviceName(key)}`,
    said: "somebody else has a service of this address and port in IPVS",
    remedy: "remove that (ipvsadm --delete-service), or give the virtual IP another address or port",
  });
}

function isConflict(error: Error | undefined): boolean {
  return error instanceof NetError && error.code === "conflict";
}

function unique(addresses: readonly Ip[]): Ip[] {
  return [...new Map(addresses.map((ip) => [formatIp(ip), ip])).values()];
}

function throwFirst(outcome: readonly (Error | undefined)[]): void {
  for (const error of outcome) if (error !== undefined) throw error;
}
