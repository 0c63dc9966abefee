import { tryParseIp } from "../../lib/address.ts";
import { parseZooKeeperUrl as parse, type ZooKeeperUrl } from "../../lib/zookeeper-url.ts";
import { memberOf, textOf, wholeOf } from "../task-mesos-json.ts";

/** Reads where Mesos masters elect their leader, `zk://[user:password@]host[:port],…/path`, the form of Mesos' `--zk` and
 *  `--master`; below the path are the candidates. Throws a NetError `invalid`, without repeating the password. */
export function parseZooKeeperUrl(text: string): ZooKeeperUrl {
  return parse(text, {
    tried: "read the ZooKeeper address of the Mesos masters",
    remedy: "write zk://host1:2181,host2:2181/mesos, as the masters' --zk",
    segment: /./,
    host: /^[\w.-]+$/,
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
