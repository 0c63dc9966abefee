import { type MesosDnsConfig, parseHostPort } from "../../dns/mesos/config.ts";
import type { HostPort } from "../../dns/mesos/state.ts";
import { zooKeeperLeader } from "../../facts/sources/mesos-zookeeper.ts";
import { parseZooKeeperUrl } from "../../facts/sources/mesos-zookeeper-url.ts";
import { systemClock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";

/** The masters that a configuration of Mesos-DNS leads to. */
export interface MesosMasters {
  /** Begins to look for them. In the order in which to ask them and to number them; with ZooKeeper the leader first.
   *  Throws a NetError `unavailable` while there is none. */
  list(): Promise<readonly HostPort[]>;
  /** Calls `changed` when others are to be asked. Once only. */
  watch(changed: () => void): void;
  stop(): Promise<void>;
}

/** As Mesos-DNS finds them: `Zk` is `zk://…`, a master's `<host>:<port>`, or `file://` and the path of a file that has
 *  one of them; without it, or until a leader is found there, `Masters`. Throws a NetError `invalid`. */
export function mesosMasters(config: MesosDnsConfig, files: Files): MesosMasters {
  const listed = (config.Masters ?? []).flatMap((master) => parseHostPort(master) ?? []);
  const place = placeOf(config.Zk.trim(), files);
  const master = parseHostPort(place);
  if (place === "" || master !== undefined) return fixed(master === undefined ? listed : [master]);
  return elected(place, config.MesosHTTPSOn ? "https" : "http", listed);
}

function placeOf(zk: string, files: Files): string {
  if (!zk.startsWith("file://")) return zk;
  const path = zk.slice("file://".length);
  const bytes = files.read(path);
  if (bytes !== undefined) return new TextDecoder().decode(bytes).trim();
  throw new NetError("not-found", {
    tried: `read ${path}, which Zk names`,
    said: "there is no such file",
    remedy: "correct Zk",
  });
}

function fixed(masters: readonly HostPort[]): MesosMasters {
  return { list: async () => masters, watch: () => {}, stop: async () => {} };
}

function elected(url: string, scheme: "http" | "https", listed: readonly HostPort[]): MesosMasters {
  let masters = listed;
  let changed = (): void => {};
  const finder = zooKeeperLeader({
    place: parseZooKeeperUrl(url),
    scheme,
    clock: systemClock,
    onMasters: (bases) => {
      masters = bases.flatMap(hostPortOf);
      changed();
    },
  });
  let watching = false;
  return {
    async list() {
      if (!watching) finder.watch(() => {});
      watching = true;
      if (masters.length > 0) return masters;
      const leader = hostPortOf(await finder.find(new AbortController().signal));
      return masters.length > 0 ? masters : leader;
    },
    watch: (action) => {
      changed = action;
    },
    stop: () => finder.stop(),
  };
}

function hostPortOf(base: string): HostPort[] {
  const { hostname, port, protocol } = new URL(base);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return [{ host, port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port) }];
}
