import { type MesosDnsConfig, readMesosDnsConfig } from "../../dns/mesos/config.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Config } from "../config.ts";

/** Where agents of DC/OS ask for the names of Mesos-DNS, and what they get there (gen/dcos-config.yaml). */
export const MESOS_DNS_PORT = 61_053;
const DCOS = {
  port: MESOS_DNS_PORT,
  refreshSeconds: 30,
  ttl: 60,
  domain: "mesos",
  listener: "0.0.0.0",
  IPSources: ["host", "netinfo"],
  // The agent's own server asks others; this one is asked for its own names only.
  externalOn: false,
} as const;

/** Configuration of the Mesos-DNS that an agent is: the file of the setting, or that of DC/OS with the masters of
 *  `mesos_master`. Throws a NetError `invalid` or `not-found`. */
export function agentMesosDns(config: Config, files: Files, nowSeconds: number): MesosDnsConfig {
  const { mesos_dns_file: path, mesos_master: masters } = config;
  if (path !== "") {
    const bytes = files.read(path);
    if (bytes === undefined) {
      const remedy = "write it, or leave the setting mesos_dns_file empty";
      throw new NetError("not-found", { tried: `read ${path}`, said: "there is no such file", remedy });
    }
    return readMesosDnsConfig(new TextDecoder().decode(bytes), path, nowSeconds);
  }
  if (masters === "") {
    const said = "it isn't known where the Mesos masters are";
    throw new NetError("invalid", { tried: "make the names of Mesos-DNS", said, remedy: "set mesos_master" });
  }
  const place = masters.startsWith("zk://") ? { zk: masters } : { masters: hostPorts(masters) };
  const https = masters.startsWith("https:") || (masters.startsWith("zk://") && config.mesos_scheme === "https");
  const text = JSON.stringify({ ...DCOS, ...place, mesosHTTPSOn: https, CACertFile: config.mesos_ca_file });
  return readMesosDnsConfig(text, "the setting mesos_master", nowSeconds);
}

/** `http://10.0.0.5:5050` as `10.0.0.5:5050`. */
function hostPorts(urls: string): string[] {
  return urls.split(/[\s,]+/).flatMap((url) => URL.parse(url)?.host ?? []);
}
