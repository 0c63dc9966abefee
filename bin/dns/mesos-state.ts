import type { MesosDnsConfig } from "../../dns/mesos/config.ts";
import { type HostPort, type MesosState, readState } from "../../dns/mesos/state.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";

/** Bytes of a state at most. */
const STATE_BYTES = 512 * 1024 * 1024;

export interface FetchOptions {
  readonly config: MesosDnsConfig;
  /** Masters in the order in which to ask them. */
  readonly masters: readonly HostPort[];
  readonly files: Files;
  /** Told of each entry of the state that can't be used. */
  readonly onSkipped: (what: string) => void;
}

/** Asks the masters in their order until one answers, then the leader that it names, when that is another. Throws a
 *  NetError `unavailable` that says what each of them said. */
export async function fetchState(options: FetchOptions): Promise<MesosState> {
  const said: string[] = [];
  for (const master of options.masters) {
    try {
      const state = await stateOf(master, options);
      if (state.leader.host === master.host) return state;
      return await stateOf({ host: state.leader.host, port: master.port }, options);
    } catch (error) {
      said.push(`${master.host}:${master.port}: ${messageOf(error)}`);
    }
  }
  const remedy = "names stay as they were; it is tried again";
  throw new NetError("unavailable", { tried: "read the state of the Mesos masters", said: said.join("; "), remedy });
}

async function stateOf({ host, port }: HostPort, { config, files, onSkipped }: FetchOptions): Promise<MesosState> {
  const scheme = config.MesosHTTPSOn ? "https" : "http";
  const url = `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}/master/state`;
  const response = await fetch(url, {
    headers: { "User-Agent": "Mesos-DNS", "Content-Type": "application/json", ...authorization(config) },
    signal: AbortSignal.timeout(config.StateTimeoutSeconds * 1000),
    ...(config.MesosHTTPSOn && { tls: tlsOf(config, files) }),
  });
  if (Number(response.headers.get("content-length") ?? 0) > STATE_BYTES) throw new Error("its state is too large");
  return readState(await response.json(), onSkipped);
}

function authorization({ MesosAuthentication, MesosCredentials }: MesosDnsConfig): Record<string, string> {
  if (MesosAuthentication !== "basic") return {};
  const pair = Buffer.from(`${MesosCredentials.Principal}:${MesosCredentials.Secret}`).toString("base64");
  return { Authorization: `Basic ${pair}` };
}

/** Without a file of authorities the master's certificate isn't checked, as in Mesos-DNS. */
function tlsOf({ CACertFile, CertFile, KeyFile }: MesosDnsConfig, files: Files) {
  const content = (path: string): string | undefined => {
    const bytes = path === "" ? undefined : files.read(path);
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  };
  const [ca, cert, key] = [content(CACertFile), content(CertFile), content(KeyFile)];
  return {
    rejectUnauthorized: CACertFile !== "",
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}
