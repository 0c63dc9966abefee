import { lookup } from "node:dns/promises";
import { MesosAgentSource } from "../../facts/sources/mesos-agent.ts";
import type { Resolve } from "../../facts/sources/mesos-hostname.ts";
import { type Caller, networkHttp } from "../../facts/sources/mesos-http.ts";
import { type LeaderFinder, redirectingMasters } from "../../facts/sources/mesos-leader.ts";
import { MesosMasterSource } from "../../facts/sources/mesos-master.ts";
import { zooKeeperLeader } from "../../facts/sources/mesos-zookeeper.ts";
import { parseZooKeeperUrl } from "../../facts/sources/mesos-zookeeper-url.ts";
import type { Source } from "../../facts/sources/source.ts";
import type { Clock } from "../../lib/clock.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Config } from "../config.ts";
import { VERSION } from "../version.ts";
import type { SourceOptions } from "./sources.ts";

/** Bytes of a token file: DC/OS service tokens have about a thousand. */
const TOKEN_LIMIT = 16 << 10;

/** Tasks of this node by its own Mesos agent, if the settings name one. */
export function mesosAgentSource({ config, agent, files, clock, random }: SourceOptions): Source | undefined {
  if (config.mesos_agent === "") return undefined;
  const [nodeAddress] = agent.addresses;
  return new MesosAgentSource({
    caller: callerOf(config, files, clock),
    base: baseOf("mesos_agent", config.mesos_agent),
    ...(nodeAddress === undefined ? {} : { nodeAddress }),
    resolve,
    random,
  });
}

/** Tasks of the whole cluster by the leading Mesos master, if the settings say how to find it. */
export function mesosMasterSource({ config, files, clock, random }: SourceOptions): Source | undefined {
  if (config.mesos_master === "") return undefined;
  const caller = callerOf(config, files, clock);
  return new MesosMasterSource({ caller, leader: leaderFinder(config, caller), resolve, random });
}

function leaderFinder(config: Config, caller: Caller): LeaderFinder {
  const { mesos_master: where, mesos_scheme: scheme } = config;
  if (where.startsWith("zk://"))
    return zooKeeperLeader({ place: parseZooKeeperUrl(where), scheme, clock: caller.clock });
  const bases = where.split(/[\s,]+/).filter((base) => base !== "");
  return redirectingMasters(
    bases.map((base) => baseOf("mesos_master", base)),
    caller,
  );
}

/** The origin of a base URL. Throws a NetError `invalid` that names the setting. */
function baseOf(setting: string, text: string): string {
  const url = URL.parse(text);
  if (url !== null && (url.protocol === "http:" || url.protocol === "https:")) return url.origin;
  throw new NetError("invalid", {
    tried: `use the setting ${setting}`,
    said: `${JSON.stringify(text.slice(0, 100))} is no URL of http or https`,
    remedy: "give one such as http://10.0.0.5:5051",
  });
}

function callerOf(config: Config, files: Files, clock: Clock): Caller {
  const { mesos_ca_file: caFile, mesos_token_file: tokenFile } = config;
  return {
    http: networkHttp({ ...(caFile === "" ? {} : { caFile }), verify: config.mesos_verify === "yes" }),
    clock,
    userAgent: `dcos-net/${VERSION}`,
    ...(tokenFile === "" ? {} : { authorization: () => readToken(files, tokenFile) }),
  };
}

/** The value of the Authorization header; read for each request, because tokens are renewed. */
function readToken(files: Files, path: string): string | undefined {
  const bytes = files.read(path, TOKEN_LIMIT);
  const token = bytes === undefined ? "" : new TextDecoder().decode(bytes).trim();
  return token === "" ? undefined : token;
}

const resolve: Resolve = async (hostname) => {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
};
