import { NetError } from "../../lib/error.ts";

/** Where a ZooKeeper ensemble is and which part of its tree is ours. */
export interface ZooKeeperUrl {
  /** `host:port` each. */
  readonly servers: readonly string[];
  /** Absolute, without a slash at its end: `/dcos-net/overlay`. */
  readonly path: string;
  /** `user:password` of the digest scheme; undefined for none. */
  readonly credentials: string | undefined;
}

const DEFAULT_PORT = 2181;
const MOST_SERVERS = 32;

/** Reads `zk://[user:password@]host[:port],…/path`, the form in which Mesos takes it. Throws a NetError `invalid` that
 *  doesn't repeat the password. */
export function parseZooKeeperUrl(text: string): ZooKeeperUrl {
  const parts = /^zk:\/\/(?:([^@/]*)@)?([^/@]+)(\/.*)?$/.exec(text);
  if (parts === null) throw invalid("it doesn't have the form zk://host:port,host:port/path");
  const [, credentials, hosts = "", path = ""] = parts;
  if (credentials !== undefined && !/^[^:]+:.+$/.test(credentials)) {
    throw invalid("what stands before the @ isn't user:password");
  }
  const servers = hosts.split(",").map(readServer);
  if (servers.length > MOST_SERVERS)
    throw invalid(`it names ${servers.length} servers, at most ${MOST_SERVERS} are allowed`);
  if (!/^(?:\/[A-Za-z0-9_.-]+)+\/?$/.test(path) || /\/\.{1,2}(?:\/|$)/.test(path)) {
    throw invalid("it needs a path of letters, digits, '_', '.', '-', such as /dcos-net");
  }
  return { servers, path: path.replace(/\/$/, ""), credentials };
}

/** The client library takes names and IPv4 addresses only. */
function readServer(text: string): string {
  const parts = /^([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(\d{1,5}))?$/.exec(text);
  const [, host = "", digits = String(DEFAULT_PORT)] = parts ?? [];
  const port = Number(digits);
  if (parts === null || port < 1 || port > 65_535) {
    throw invalid(`${JSON.stringify(text.slice(0, 60))} isn't host:port, with a name or an IPv4 address as host`);
  }
  return `${host}:${port}`;
}

function invalid(said: string): NetError {
  const remedy = "give for example zk://10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/dcos-net";
  return new NetError("invalid", { tried: "use the ZooKeeper URL", said, remedy });
}
