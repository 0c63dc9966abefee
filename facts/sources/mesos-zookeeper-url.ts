import { tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { memberOf, textOf, wholeOf } from "../task-mesos-json.ts";

/** Where Mesos masters elect their leader. */
export interface ZooKeeperPlace {
  /** `host:port`, each server of the ensemble. */
  readonly servers: readonly string[];
  /** Znode below which the candidates are: `/mesos`. */
  readonly path: string;
  /** `user:password` for the digest scheme, when given. */
  readonly auth?: string;
}

const DEFAULT_PORT = 2181;

/** Reads `zk://[user:password@]host[:port][,host[:port]…]/path`, the form of Mesos' `--zk` and `--master`. Throws a
 *  NetError `invalid`, without repeating the password. */
export function parseZooKeeperUrl(url: string): ZooKeeperPlace {
  const [, auth, hosts = "", path = ""] = /^zk:\/\/(?:([^@/]*)@)?([^/@]+)(\/[^?#]*)$/.exec(url.trim()) ?? [];
  const znode = path.replace(/\/+$/, "");
  if (hosts === "" || znode === "" || /\/\.{0,2}(\/|$)/.test(znode)) throw badUrl("it isn't zk://host:port,…/path");
  if (auth !== undefined && !/^[^:]+:./.test(auth)) throw badUrl("before the @ isn't user:password");
  const servers = hosts.split(",").map(serverOf);
  return auth === undefined ? { servers, path: znode } : { servers, path: znode, auth };
}

function serverOf(text: string): string {
  const [, host, port] = /^([A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text.trim()) ?? [];
  const number = port === undefined ? DEFAULT_PORT : wholeOf(Number(port), 1, 65_535);
  if (host === undefined || number === undefined) {
    throw badUrl(`${JSON.stringify(text)} isn't host or host:port (write IPv6 servers by name)`);
  }
  return `${host}:${number}`;
}

function badUrl(said: string): NetError {
  return new NetError("invalid", {
    tried: "read the ZooKeeper address of the Mesos masters",
    said,
    remedy: "write zk://host1:2181,host2:2181/mesos, as the masters' --zk",
  });
}

/** The znodes of masters among the children of their path, by sequence number. Mesos keeps other things there too
 *  (`log_replicas`). */
export function candidatesAmong(children: readonly string[]): string[] {
  return children.filter((name) => /^json\.info_\d{10}$/.test(name)).sort();
}

/** The znode of the leader, which has the smallest sequence number; undefined when no master is there. */
export function leadingCandidate(children: readonly string[]): string | undefined {
  return candidatesAmong(children)[0];
}

/** The base URL of a master by its MasterInfo in JSON; undefined when that names no address. */
export function masterBase(info: unknown, scheme: "http" | "https"): string | undefined {
  const [, pidHost, pidPort] = /@\[?([^\]]+?)\]?:(\d+)$/.exec(textOf(memberOf(info, "pid")) ?? "") ?? [];
  const host = textOf(memberOf(info, "address", "ip")) ?? pidHost;
  const port = wholeOf(memberOf(info, "address", "port"), 1, 65_535) ?? wholeOf(pidPort, 1, 65_535);
  const ip = tryParseIp(host ?? "");
  if (ip === undefined || port === undefined) return undefined;
  return `${scheme}://${ip.family === 6 ? `[${host}]` : host}:${port}`;
}

/** True when there are candidates, but only of Mesos before 0.24, which wrote no JSON. */
export function onlyOldCandidates(children: readonly string[]): boolean {
  const old = children.filter((name) => /^(info_)?\d{10}$/.test(name));
  return old.length > 0 && leadingCandidate(children) === undefined;
}
