import type { Kernel } from "../../kernel/kernel.ts";
import { messageOf, NetError } from "../../lib/error.ts";

/** One container's link to one network, as a container runtime knows it. */
export interface Attachment {
  readonly containerId: string;
  /** Path of the container's network namespace. */
  readonly netns: string;
  readonly ifname: string;
  /** Configurations of the network's plugins, ready to be handed over, in the order of ADD. */
  readonly plugins: readonly PluginConfig[];
}

export type PluginConfig = Readonly<Record<string, unknown>> & { readonly type: string };

/** A port of the host that leads to a port of the container: an entry of the capability `portMappings` (CNI
 *  conventions). */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly hostIP?: string;
}

/** The part of a CNI result (spec 1.0.0, "ADD success") that the lab shows. */
export interface AttachResult {
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[];
}

export interface PluginHost {
  /** The kernel in the namespace of the host, where the plugins run. */
  readonly kernel: Kernel;
  /** Directory of the plugins. */
  readonly bin: string;
}

const CALL_LIMIT_MS = 60_000;
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** Prepares what a network configuration list (CNI spec 1.0.0, section 1) has each plugin be given: name and version
 *  of the list, the capabilities that it offers of those used, and where it logs. Throws a NetError `invalid` for a
 *  file that is no list. */
export function pluginConfigs(
  conflist: string,
  source: string,
  portMappings: readonly PortMapping[],
  logFile: string,
): PluginConfig[] {
  const list = JSON.parse(conflist) as { cniVersion?: string; name?: string; plugins?: readonly PluginConfig[] };
  if (!Array.isArray(list.plugins) || list.plugins.length === 0) {
    throw new NetError("invalid", { tried: `use ${source}`, said: "it isn't a network configuration list" });
  }
  return list.plugins.map((plugin: PluginConfig) => {
    const { capabilities, ...rest } = plugin;
    const offered = capabilities as { portMappings?: boolean } | undefined;
    const wanted = portMappings.length > 0 && offered?.portMappings === true;
    return {
      ...rest,
      type: plugin.type,
      cniVersion: list.cniVersion,
      name: list.name,
      ...(wanted ? { runtimeConfig: { portMappings } } : {}),
      dcosNet: { logFile },
    };
  });
}

/** ADD: calls the plugins in order, each with the result of the one before. */
export async function attach(host: PluginHost, attachment: Attachment): Promise<AttachResult> {
  let result: unknown;
  for (const plugin of attachment.plugins) {
    const config = result === undefined ? plugin : { ...plugin, prevResult: result };
    result = JSON.parse(await call(host, "ADD", attachment, config));
  }
  return result as AttachResult;
}

/** DEL: calls the plugins in reverse order. Succeeds, too, for what was never attached or is detached already. */
export async function detach(host: PluginHost, attachment: Attachment): Promise<void> {
  for (const plugin of attachment.plugins.toReversed()) await call(host, "DEL", attachment, plugin);
}

async function call(host: PluginHost, verb: string, attachment: Attachment, config: PluginConfig): Promise<string> {
  const { containerId, netns, ifname } = attachment;
  const child = host.kernel.enter(() =>
    Bun.spawn([`${host.bin}/${config.type}`], {
      cwd: "/",
      env: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: netns,
        CNI_IFNAME: ifname,
        CNI_PATH: host.bin,
        PATH,
      },
      stdio: [new Blob([JSON.stringify(config)]), "pipe", "pipe"],
      timeout: CALL_LIMIT_MS,
      killSignal: "SIGKILL",
    }),
  );
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode === 0) return output;
  throw new NetError("unavailable", {
    tried: `${verb} container ${containerId} with plugin ${config.type}`,
    said: refusalOf(output) ?? (errors.trim() || `it ended by ${child.signalCode ?? `status ${child.exitCode}`}`),
  });
}

/** The message of a plugin's error document (CNI spec 1.0.0, "Error"). */
function refusalOf(output: string): string | undefined {
  try {
    const { code, msg, details } = JSON.parse(output) as { code?: number; msg?: string; details?: string };
    return `${msg ?? "no message"} (code ${code})${details ? `: ${details}` : ""}`;
  } catch (error) {
    return output.trim() === "" ? undefined : `${messageOf(error)} in ${output.trim().slice(0, 200)}`;
  }
}
