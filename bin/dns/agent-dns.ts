import { DnsKeeper } from "../../dns/apply.ts";
import { type Endpoint, endpointText } from "../../dns/endpoint.ts";
import type { Forwarder } from "../../dns/forward/forwarder.ts";
import type { ForwardZone } from "../../dns/forward/route.ts";
import { withoutWildcards } from "../../dns/mesos/zone.ts";
import type { Query } from "../../dns/message.ts";
import { isUnder } from "../../dns/name.ts";
import { clusterOf, Names, type NamesOptions } from "../../dns/names.ts";
import { aliases } from "../../dns/naming.ts";
import type { DnsRecord } from "../../dns/record.ts";
import { DnsServer } from "../../dns/server.ts";
import { traceName } from "../../dns/trace.ts";
import type { Zone } from "../../dns/zone.ts";
import type { FactView } from "../../facts/view.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { equalIp, type Ip, type Prefix, parseIp } from "../../lib/address.ts";
import { systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { type Loop, startLoop } from "../../lib/loop.ts";
import type { DnsReport, DnsState } from "../api/dns.ts";
import type { Config } from "../config.ts";
import { MESOS_DNS_PORT } from "./agent-mesos-dns.ts";
import { startForwarder } from "./forwarding.ts";
import type { Handover } from "./handover.ts";
import { HostResolver } from "./host-resolver.ts";
import { DEFAULT_RESOLV_CONF, ResolvConfFile } from "./resolv-conf-file.ts";
import { backupPath, type DnsSettings, dnsSettings } from "./settings.ts";
import { TimedForwarding } from "./timed-forwarding.ts";
import { ZoneCounter } from "./zone-counter.ts";

/** Memory reserved for the names that workers answer by themselves; only what is used is taken. Room for 300,000 names;
 *  the main thread answers for those that find none. More would make the collector lazy, which counts it as in use. */
export const TABLE_BYTES = 1 << 26;

/** Time between two looks at the kernel, within which a foreign deletion is repaired, milliseconds. */
const LOOK_MS = 2000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
const DNS_PORT = 53;
/** Where masters of DC/OS have Mesos-DNS, its zone, and how many of them are asked. */
const MESOS_DNS = { zone: "mesos", port: MESOS_DNS_PORT, most: 8 } as const;

export interface AgentDnsOptions {
  readonly config: Config;
  readonly kernel: Kernel;
  readonly log: Log;
  /** Id of this node among the node facts. */
  readonly node: string;
  readonly view: FactView;
  /** Where the names of Mesos-DNS are made on this node: its zone, which is then answered here and not asked of others,
   *  and where else it is to be had. */
  readonly mesos?: { readonly zone: Zone; readonly listen: readonly Endpoint[] };
}

/** The DNS server of a node: its names follow the facts, others are asked for the rest, and what it needs of the kernel
 *  and of resolv.conf is kept. */
export class AgentDns {
  readonly settings: DnsSettings;
  readonly names: Names;
  readonly server: DnsServer;
  readonly forwarder: Forwarder;
  readonly #timed: TimedForwarding;
  readonly #counter: ZoneCounter;
  readonly #keeper: DnsKeeper;
  readonly #host: HostResolver;
  readonly #log: Log;
  readonly #view: FactView;
  readonly #cacheBytes: number;
  readonly #listen: readonly Endpoint[];
  readonly #mesosZone: Zone | undefined;
  readonly #namesOptions: NamesOptions;
  readonly #aliases: ReturnType<typeof aliases>;
  readonly #loop: Loop;
  readonly #unsubscribe: () => void;
  /** What was wrong at the last look, by what was tried. */
  readonly #problems = new Map<string, string>();
  #hasPassed = false;

  /** Throws a NetError `invalid` for settings that can't be used; nothing has been started then. */
  constructor({ config, kernel, log, node, view, mesos }: AgentDnsOptions) {
    const settings = dnsSettings(config);
    const { addresses, untracked, workers, custom } = settings;
    const listen = [...settings.listen, ...(mesos?.listen ?? [])];
    this.#listen = listen;
    this.#cacheBytes = config.dns_cache_bytes;
    this.settings = settings;
    this.#log = log;
    this.#view = view;
    this.#aliases = aliases(settings.clusterId);
    this.#host = hostResolver(config, settings);
    this.#keeper = new DnsKeeper({ kernel, device: config.dns_device, addresses, untracked, port: config.dns_port });
    this.#namesOptions = {
      node,
      publicAddresses: settings.publicAddresses,
      custom,
      ranges: settings.vipRanges,
      forwarded: settings.forwardZones.map(({ zone }) => zone),
      zones: mesos === undefined ? [] : [mesos.zone],
    };
    this.#mesosZone = mesos?.zone;
    this.names = new Names(this.#namesOptions);
    this.names.begin(view.snapshot());
    this.#counter = new ZoneCounter(this.names.zones, systemClock);
    const zones = this.#forwardZones();
    this.forwarder = startForwarder({ zones, listen, cacheBytes: config.dns_cache_bytes, log });
    this.#timed = new TimedForwarding(this.forwarder, systemClock);
    this.#timed.setZones(zones);
    // The addresses are there before the server asks for them, or it would only have them at its second try.
    this.#attempt("kernel", () => this.#keepKernel());
    this.server = new DnsServer({
      listen: [],
      zones: this.names.zones,
      authority: { aliases: this.#aliases, rewrite: (query) => this.#rewritten(query) },
      forward: this.#timed,
      workers,
      tableBytes: TABLE_BYTES,
      clock: systemClock,
      log,
    });
    this.#unsubscribe = view.subscribe((delta, snapshot) => {
      this.names.change(delta, snapshot);
      this.server.publish();
      const { added, changed, removed } = delta.nodes;
      if (added.length + changed.length + removed.length > 0) this.#loop.request();
    });
    this.#loop = startLoop({
      run: () => this.#pass(),
      clock: systemClock,
      random: Math.random,
      leastGapMs: FIRST_RETRY_MS,
      longestGapMs: LOOK_MS,
      firstRetryMs: FIRST_RETRY_MS,
      longestRetryMs: LONGEST_RETRY_MS,
      onFailure: () => {},
    });
  }

  /** What the HTTP API and commands show. */
  state(): DnsState {
    const { zones } = this.names;
    return {
      zones,
      aliases: this.#aliases,
      trace: (name, type) => {
        const sources = this.names.sources(this.#view.snapshot());
        return traceName(name, type, { zones, aliases: this.#aliases, sources });
      },
      explain: (name, type) => this.forwarder.explain(name, type),
      report: () => this.#report(),
      counter: this.#counter,
      times: () => this.#timed.times(),
    };
  }

  /** Takes all names of Mesos-DNS that this node makes. */
  takeMesosRecords(records: readonly DnsRecord[]): void {
    const zone = this.#mesosZone;
    if (zone === undefined) throw new Error("records of Mesos-DNS need its zone");
    this.names.zones.put("mesos-dns", records);
    this.names.mesos(records, zone.name);
    this.server.publish();
  }

  /** The ranges of the overlays, whose addresses have their names here beside those of virtual IPs. */
  takeOverlays(ranges: readonly Prefix[]): void {
    this.names.ranges([...this.settings.vipRanges, ...ranges], this.#view.snapshot());
    this.server.publish();
  }

  /** Begins to answer; before that, nothing but the addresses is there. */
  listen(): void {
    this.server.listen(this.#listen);
  }

  /** True once every address is served. */
  isListening(): boolean {
    return this.server.bound().length === this.#listen.length;
  }

  /** What another process needs to answer the same. */
  handover(): Handover {
    return {
      zones: this.names.zones.zones(),
      aliases: this.#aliases,
      listen: this.#listen,
      forwardZones: this.#forwardZones(),
      cacheBytes: this.#cacheBytes,
      workers: this.settings.workers,
    };
  }

  /** Ends answering. Addresses, rules and resolv.conf stay, as everything of this host does when the agent ends. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#loop.stop();
    await this.server.stop();
    this.forwarder.stop();
  }

  /** As Mesos-DNS, in its zone alone. */
  #rewritten(query: Query): Query {
    const zone = this.#mesosZone?.name;
    return zone !== undefined && isUnder(query.name, zone) ? withoutWildcards(query) : query;
  }

  #report(): DnsReport {
    const { workers } = this.settings;
    const bound = this.server.bound().map(({ ip, udpPort }) => endpointText({ ip, port: udpPort }));
    const { names, bytes, answered } = this.server.fastPath();
    return {
      listening: bound,
      waiting: this.#listen.map(endpointText).filter((text) => !bound.includes(text)),
      problems: [...this.#problems.values()],
      workers,
      fastNames: names,
      fastBytes: bytes,
      fastAnswers: answered,
      forwarding: this.forwarder.status(),
    };
  }

  /** Looks after everything, whatever of it fails, and throws when something did. */
  #pass(): void {
    const done = [
      this.#attempt("kernel", () => this.#keepKernel()),
      this.#attempt("resolv.conf", () => this.#keepResolvConf()),
      this.#attempt("upstreams", () => this.#keepUpstreams()),
    ];
    if (done.includes(false)) throw new Error("something is not as it should be");
  }

  #keepKernel(): void {
    const objects = this.#keeper.pass();
    if (objects.length > 0 && this.#hasPassed) this.#log.warn("foreign change repaired", { objects });
    else if (objects.length > 0) this.#log.info("DNS set up in the kernel", { objects });
    this.#hasPassed = true;
  }

  #keepResolvConf(): void {
    const bound = this.server.bound();
    const written = this.#host.keep((own) => bound.some(({ ip, udpPort }) => equalIp(ip, own) && udpPort === DNS_PORT));
    if (written) this.#log.info("resolv.conf leads to this node's DNS server");
  }

  #keepUpstreams(): void {
    const zones = this.#forwardZones();
    this.forwarder.setZones(zones);
    this.#timed.setZones(zones);
  }

  /** Who is asked about what: the masters about the names of Mesos-DNS, for the rest whom the settings name, or whom
   *  resolv.conf named before us. */
  #forwardZones(): ForwardZone[] {
    const { upstreams, forwardZones } = this.settings;
    const { masters } = clusterOf(this.#view.snapshot(), this.#namesOptions);
    const others = upstreams ?? this.#host.upstreams().map((ip) => ({ ip, port: DNS_PORT }));
    const mesos = masters.slice(0, MESOS_DNS.most).map((address) => ({ ip: parseIp(address), port: MESOS_DNS.port }));
    const asked = this.#mesosZone === undefined ? [{ zone: MESOS_DNS.zone, upstreams: mesos }] : [];
    return [...asked, { zone: "", upstreams: others }, ...forwardZones];
  }

  /** False when it failed. The same problem is logged once, however often it is tried again. */
  #attempt(what: string, action: () => void): boolean {
    try {
      action();
      this.#problems.delete(what);
      return true;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problems.get(what)) this.#log.error("DNS not as it should be", { what, problem });
      this.#problems.set(what, problem);
      return false;
    }
  }
}

function hostResolver(config: Config, { addresses, listen, search }: DnsSettings): HostResolver {
  const own: readonly Ip[] = listen.map(({ ip }) => ip);
  return new HostResolver({
    file: new ResolvConfFile({ path: config.dns_resolv_conf || DEFAULT_RESOLV_CONF, backup: backupPath(config) }),
    isKept: config.dns_resolv_conf !== "",
    servers: addresses.length > 0 ? addresses : own,
    own,
    search,
  });
}
