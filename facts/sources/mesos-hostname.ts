import { formatIp, tryParseIp } from "../../lib/address.ts";
import type { Cancel, Clock } from "../../lib/clock.ts";
import { messageOf, NetError } from "../../lib/error.ts";

/** Addresses of a host name by the node's own resolver; rejects or gives none when it doesn't know the name. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

export interface HostnameOptions {
  readonly resolve: Resolve;
  readonly clock: Clock;
  /** Told when the answer of {@link Hostnames.lookup} for `hostname` has become another one. */
  readonly onChange: (hostname: string) => void;
  /** Told of a name that can't be resolved, and with undefined when it can. */
  readonly onProblem: (hostname: string, error: NetError | undefined) => void;
}

/** How long the resolver may take, how old an answer gets, and how soon a failure is tried again, milliseconds. */
const LONGEST_RESOLVE_MS = 5_000;
const REFRESH_MS = 300_000;
const RETRY_MS = 30_000;

interface Entry {
  /** undefined until the first attempt has ended; then sorted, so that a resolver's rotation changes nothing. */
  addresses: readonly string[] | undefined;
  cancel: Cancel;
}

/** What the host names of agents stand for, remembered and asked again now and then. */
export class Hostnames {
  readonly #options: HostnameOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: HostnameOptions) {
    this.#options = options;
  }

  /** Addresses of a host in canonical text; empty when the name can't be resolved, undefined while that isn't known
   *  yet. A literal address stands for itself. */
  lookup(hostname: string): readonly string[] | undefined {
    const literal = tryParseIp(hostname);
    if (literal !== undefined) return [formatIp(literal)];
    if (hostname === "") return [];
    const entry = this.#entries.get(hostname);
    if (entry !== undefined) return entry.addresses;
    const added: Entry = { addresses: undefined, cancel: () => {} };
    this.#entries.set(hostname, added);
    this.#ask(hostname, added);
    return undefined;
  }

  /** Forgets every name but these. */
  retain(hostnames: ReadonlySet<string>): void {
    for (const [hostname, { cancel }] of this.#entries) {
      if (hostnames.has(hostname)) continue;
      cancel();
      this.#entries.delete(hostname);
    }
  }

  /** Asks nothing more. */
  stop(): void {
    this.retain(new Set());
  }

  #ask(hostname: string, entry: Entry): void {
    const { resolve, clock } = this.#options;
    let open = true;
    const settle = (found: readonly string[], said: string | undefined): void => {
      if (!open) return;
      open = false;
      entry.cancel();
      if (this.#entries.get(hostname) !== entry) return;
      entry.cancel = clock.schedule(said === undefined ? REFRESH_MS : RETRY_MS, () => this.#ask(hostname, entry));
      this.#settled(hostname, entry, found, said);
    };
    entry.cancel = clock.schedule(LONGEST_RESOLVE_MS, () => settle([], "no answer"));
    resolve(hostname).then(
      (texts) => {
        const ips = texts.flatMap((text) => tryParseIp(text) ?? []);
        const sorted = [...new Set(ips.map(formatIp))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
        settle(sorted, sorted.length > 0 ? undefined : "no address");
      },
      (error) => settle([], messageOf(error)),
    );
  }

  /** A name that stops resolving keeps the addresses that it had: the host hasn't moved because a resolver is down. */
  #settled(hostname: string, entry: Entry, found: readonly string[], said: string | undefined): void {
    const before = entry.addresses;
    entry.addresses = said !== undefined && before !== undefined ? before : found;
    this.#options.onProblem(hostname, said === undefined ? undefined : unresolved(hostname, said));
    if (before === undefined || before.join() !== entry.addresses.join()) this.#options.onChange(hostname);
  }
}

function unresolved(hostname: string, said: string): NetError {
  return new NetError("not-found", {
    tried: `resolve the Mesos agent's host name ${hostname}`,
    said,
    remedy: "start the agent with --hostname=<its address>, or make the name known to this node's resolver",
  });
}

/** IPv4 before IPv6: a backend behind a host port is an IPv4 one where there is a choice. */
function rank(address: string): number {
  return address.includes(":") ? 1 : 0;
}
