import { parseZooKeeperUrl as parse, type ZooKeeperUrl } from "../../lib/zookeeper-url.ts";

/** Reads the place where allocations are kept, `zk://[user:password@]host[:port],…/path`. Throws a NetError `invalid`
 *  that doesn't repeat the password. */
export function parseZooKeeperUrl(text: string): ZooKeeperUrl {
  return parse(text, {
    tried: "use the ZooKeeper URL",
    remedy:
      "give for example zk://10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/dcos-net, with letters, digits, '_', '.' and '-' " +
      "in the path",
    segment: /^[\w.-]+$/,
    host: /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/,
  });
}
