import { renderResolvConf, upstreamsOf } from "../../dns/resolv-conf.ts";
import type { Ip } from "../../lib/address.ts";
import type { ResolvConfFile } from "./resolv-conf-file.ts";

export interface HostResolverOptions {
  readonly file: ResolvConfFile;
  /** False: the file is only read. */
  readonly isKept: boolean;
  /** Addresses that the file may lead to, best first. */
  readonly servers: readonly Ip[];
  /** Every address of the server: none of them is an upstream. */
  readonly own: readonly Ip[];
  /** Domains for the search list. */
  readonly search: readonly string[];
}

/** What this host's programs are told of whom to ask, and whom they were told to ask before us. */
export class HostResolver {
  readonly #options: HostResolverOptions;

  constructor(options: HostResolverOptions) {
    this.#options = options;
  }

  /** Who answers for other names, by the file as it was before us. */
  upstreams(): Ip[] {
    const { file, own } = this.#options;
    return upstreamsOf(file.before(), own);
  }

  /** Leads the host's programs to those of our addresses that answer; as long as none does the file stays as it is.
   *  True when it had to be written. Throws a NetError `io`. */
  keep(answers: (ip: Ip) => boolean): boolean {
    const { file, isKept, servers, search } = this.#options;
    const answering = servers.filter(answers);
    if (!isKept || answering.length === 0) return false;
    return file.apply(renderResolvConf({ servers: answering, search, before: file.before() }));
  }
}
