import { NetError } from "./error.ts";

/** Where a ZooKeeper ensemble is, and a part of its tree. */
export interface ZooKeeperUrl {
  /** `host:port` each. */
  readonly servers: readonly string[];
  /** Absolute, without a slash at its end: `/dcos-net/overlay`. */
  readonly path: string;
  /** `user:password` of the digest scheme; undefined for none. */
  readonly credentials: string | undefined;
}

/** In what the URLs of different programs differ. */
export interface ZooKeeperUrlRules {
  /** What the URL is read for, for the refusal: `use the ZooKeeper URL`. */
  readonly tried: string;
  readonly remedy: string;
  /** A part of the path between two slashes; `.` and `..` are refused in any case. */
  readonly segment: RegExp;
  readonly host: RegExp;
}

const DEFAULT_PORT = 2181;
const MOST_SERVERS = 32;

/** Reads `zk://[user:password@]host[:port],…/path`, the form of Mesos' `--zk`. Hosts are names and IPv4 addresses, since
 *  the client library takes no others. Throws a NetError `invalid` that doesn't repeat the password. */
export function parseZooKeeperUrl(text: string, rules: ZooKeeperUrlRules): ZooKeeperUrl {
  const refuse = (said: string) => new NetError("invalid", { tried: rules.tried, said, remedy: rules.remedy });
  const parts = /^zk:\/\/(?:([^@/]*)@)?([^/@]+)(\/[^?#]*)?$/.exec(text.trim());
  if (parts === null) throw refuse("it doesn't have the form zk://host:port,host:port/path");
  const [, credentials, hosts = "", path = ""] = parts;
  if (credentials !== undefined && !/^[^:]+:./.test(credentials)) {
    throw refuse("what stands before the @ isn't user:password");
  }
  const names = hosts.split(",");
  if (names.length > MOST_SERVERS)
    throw refuse(`it names ${names.length} servers, at most ${MOST_SERVERS} are allowed`);
  const servers = names.map((name) => {
    const server = serverOf(name.trim(), rules.host);
    if (server !== undefined) return server;
    throw refuse(`${JSON.stringify(name.slice(0, 60))} isn't host:port, with a name or an IPv4 address as host`);
  });
  const [root, ...segments] = path.replace(/\/+$/, "").split("/");
  const isPath = root === "" && segments.length > 0 && segments.every((segment) => isSegment(segment, rules.segment));
  if (!isPath) throw refuse("it needs a path");
  return { servers, path: `/${segments.join("/")}`, credentials };
}

function isSegment(text: string, rule: RegExp): boolean {
  return text !== "" && text !== "." && text !== ".." && rule.test(text);
}

function serverOf(text: string, rule: RegExp): string | undefined {
  const [, host = "", digits = String(DEFAULT_PORT)] = /^([^:]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = Number(digits);
  return rule.test(host) && port >= 1 && port <= 65_535 ? `${host}:${port}` : undefined;
}
