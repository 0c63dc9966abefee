import { formatIp, type Ip, tryParseIp } from "../lib/address.ts";

/** First line of a file that we wrote, by which we know it again. */
const MARK = "# Written by dcos-net;";
/** Name servers that resolvers look at (MAXNS of resolv.h, and of musl). */
const SERVERS_MOST = 3;
/** As DC/OS: the next address is asked after a second, and each of them three times. */
const OWN_OPTIONS = ["timeout:1", "attempts:3"];

/** What resolv.conf(5) says, as far as it matters here. */
export interface ResolvConf {
  /** Texts of addresses, as they stand there; with a zone (`fe80::1%eth0`) perhaps. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  readonly sortlist: readonly string[];
}

/** Reads a file in the way of glibc: keywords begin a line, the last `search` or `domain` counts, comments begin with
 *  `#` or `;`. What it doesn't know it leaves out. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  const options: string[] = [];
  const sortlist: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split("\n")) {
    const [keyword = "", ...values] = line.trimEnd().split(/[ \t]+/);
    if (keyword === "nameserver") servers.push(...values.slice(0, 1));
    else if (keyword === "search") search = values;
    else if (keyword === "domain") search = values.slice(0, 1);
    else if (keyword === "options") options.push(...values);
    else if (keyword === "sortlist") sortlist.push(...values);
  }
  return { servers, search, options, sortlist };
}

/** True for a file that we wrote, whoever has changed it since below the first line. */
export function isOwnResolvConf(text: string): boolean {
  return text.startsWith(MARK);
}

export interface OwnResolvConf {
  /** Addresses that answer, best first. */
  readonly servers: readonly Ip[];
  /** Domains that come before those of the file before; of all together the first of each name counts. */
  readonly search: readonly string[];
  /** The file before ours: its search list, options and sort list stay. */
  readonly before: ResolvConf;
}

/** The file that leads a host's resolver to us, and to nobody else: a resolver that asks several servers at once, as
 *  musl does, would take another's word that a name of the cluster doesn't exist. */
export function renderResolvConf({ servers, search, before }: OwnResolvConf): string {
  const domains = [...new Set([...search, ...before.search])];
  const named = new Set(OWN_OPTIONS.map(nameOf));
  const options = [...OWN_OPTIONS, ...before.options.filter((option) => !named.has(nameOf(option)))];
  return [
    `${MARK} \`dcos-net dns resolvconf --restore\` brings back what was here before.`,
    ...servers.slice(0, SERVERS_MOST).map((ip) => `nameserver ${formatIp(ip)}`),
    ...(domains.length === 0 ? [] : [`search ${domains.join(" ")}`]),
    `options ${options.join(" ")}`,
    ...(before.sortlist.length === 0 ? [] : [`sortlist ${before.sortlist.join(" ")}`]),
    "",
  ].join("\n");
}

/** The servers of a file that can be asked about other names: no addresses of our own, each once, and no more than
 *  resolvers look at. */
export function upstreamsOf({ servers }: ResolvConf, own: readonly Ip[]): Ip[] {
  const ours = new Set(own.map(formatIp));
  const texts = servers.flatMap((text) => {
    const ip = tryParseIp(text);
    return ip === undefined || ours.has(formatIp(ip)) ? [] : formatIp(ip);
  });
  return [...new Set(texts)].slice(0, SERVERS_MOST).flatMap((text) => tryParseIp(text) ?? []);
}

function nameOf(option: string): string {
  return option.split(":", 1)[0] ?? "";
}
