import { asSection, parseConfig, type Section } from "../cni/config.ts";
import { readHostLocalConfig } from "../cni/host-local-config.ts";
import type { RangeSet } from "../ipam/range.ts";
import { messageOf } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";

/** What the CNI configuration files of a directory say of one network's addresses. */
export interface ConfiguredNetwork {
  readonly name: string;
  readonly dataDir: string;
  readonly sets: readonly RangeSet[];
}

export interface ConfiguredNetworks {
  /** By network name; of several files for one network the first in alphabetical order counts. */
  readonly networks: ReadonlyMap<string, ConfiguredNetwork>;
  /** Files that can't be used, in sentences. */
  readonly problems: readonly string[];
}

/** Reads every network configuration in a directory whose addresses come from host-local or from our own IPAM. */
export function configuredNetworks(files: Files, dir: string): ConfiguredNetworks {
  const networks = new Map<string, ConfiguredNetwork>();
  const problems: string[] = [];
  const names = files.list(dir).filter((name) => /\.(conf|conflist|json)$/.test(name));
  for (const name of names.sort()) {
    try {
      const network = readNetwork(files, `${dir}/${name}`);
      if (network !== undefined && !networks.has(network.name)) networks.set(network.name, network);
    } catch (error) {
      problems.push(`${dir}/${name}: ${messageOf(error)}`);
    }
  }
  return { networks, problems };
}

function readNetwork(files: Files, path: string): ConfiguredNetwork | undefined {
  const bytes = files.read(path);
  if (bytes === undefined) return undefined;
  const { config } = parseConfig(bytes);
  const name = config.fields["name"];
  const plugin = pluginsOf(config).find(hasHostLocal);
  if (typeof name !== "string" || plugin === undefined) return undefined;
  // Ranges are read as the newest version reads them: what an older result has no room for is no concern here.
  const { dataDir, sets } = readHostLocalConfig(plugin, "1.0.0", "");
  return { name, dataDir, sets };
}

/** The plugins of a configuration list; a file for a single plugin is that plugin. */
function pluginsOf(config: Section): Section[] {
  const { plugins } = config.fields;
  return Array.isArray(plugins) ? plugins.map((plugin, index) => asSection(plugin, `plugins[${index}]`)) : [config];
}

function hasHostLocal({ fields }: Section): boolean {
  const { ipam } = fields;
  const type = typeof ipam === "object" && ipam !== null && "type" in ipam ? ipam.type : undefined;
  return type === "host-local" || type === "dcos-ipam";
}
