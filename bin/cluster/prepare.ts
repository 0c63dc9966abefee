import { hostname } from "node:os";
import type { OverlayWish } from "../../facts/fact.ts";
import { formatEndpoint, parseEndpoint } from "../../gossip/endpoint.ts";
import type { KeyRing } from "../../gossip/key.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { formatIp, tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { FileLock, Files } from "../../lib/files.ts";
import {
  DEFAULT_NETWORK,
  type OverlayNetwork,
  parseOverlayNetwork,
  parseOverlayNetworkText,
} from "../../overlay/leader/network.ts";
import { defaultWish } from "../../overlay/leader/types.ts";
import type { Config } from "../config.ts";
import { ownId } from "./identity.ts";
import { type OwnAddresses, ownAddresses } from "./own-address.ts";
import { readKeys } from "./secret.ts";
import { parseSeeds } from "./seeds.ts";

/** Where packets without a destination would go: asked only for the address that they would start from. Of the
 *  documentation range (RFC 5737), so nobody is there. */
const NOWHERE = "192.0.2.1";

/** What a member of a cluster needs to start, read and checked. */
export interface Prepared {
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly addresses: OwnAddresses;
  /** `address:port` at which the others reach it. */
  readonly endpoint: string;
  readonly listen: string;
  readonly seeds: readonly string[];
  readonly keys: KeyRing;
  readonly wish: OverlayWish;
  /** On masters. */
  readonly network: OverlayNetwork | undefined;
}

/** Reads everything that the cluster mode's settings name. Throws a NetError at the first that can't be used; nothing
 *  has been started then. */
export async function prepare(config: Config, kernel: Kernel, files: Files): Promise<Prepared> {
  const name = config.node === "" ? hostname() : config.node;
  const keys = clusterKeys(config, files);
  const seeds = parseSeeds(config.join, config.gossip_port);
  const network = config.role === "master" ? overlayNetwork(config, files) : undefined;
  if (tryParseIp(config.gossip_address) === undefined) throw notAnAddress(config.gossip_address);
  const toward = seeds[0] === undefined ? NOWHERE : parseEndpoint(seeds[0]).host;
  const addresses = await ownAddresses(kernel, config.advertise_address, toward);
  const id = ownId(files, config.state_dir, name, (count) => crypto.getRandomValues(new Uint8Array(count)));
  return {
    id,
    name,
    addresses,
    endpoint: formatEndpoint(formatIp(addresses.address), config.gossip_port),
    listen: formatEndpoint(config.gossip_address, config.gossip_port),
    seeds,
    keys,
    wish: wishOf(config),
    network,
  };
}

export function clusterKeys(config: Config, files: Files): KeyRing {
  const { cluster_secret_file: secret, old_cluster_secret_file: former, cluster_identity: identity } = config;
  return readKeys(files, { secret, former, identity });
}

/** The overlays that this master is to hand out. Throws a NetError with every problem of the file. */
export function overlayNetwork({ overlay_network_file: path }: Config, files: Files): OverlayNetwork {
  if (path === "") return parseOverlayNetwork(DEFAULT_NETWORK);
  const bytes = files.read(path);
  if (bytes !== undefined) return parseOverlayNetworkText(new TextDecoder().decode(bytes), path);
  const remedy = "write it, or leave overlay_network_file empty for the overlays that DC/OS has by default";
  throw new NetError("not-found", {
    tried: `read overlay configuration ${path}`,
    said: "there is no such file",
    remedy,
  });
}

/** Takes the state directory for this process, making it first. Throws a NetError `conflict` when another has it. */
export function holdStateDir({ state_dir: dir }: Config, files: Files): FileLock {
  files.makeDirectory(dir, 0o700);
  try {
    return files.lock(`${dir}/lock`, 0);
  } catch (error) {
    if (!(error instanceof NetError) || error.code !== "busy") throw error;
    const remedy = "stop that one first, or give this one a state_dir of its own";
    throw new NetError("conflict", { tried: `use ${dir}`, said: "another agent uses it", remedy, cause: error });
  }
}

/** What this node wants of the overlays, by its role unless the setting overlay_subnets says otherwise. */
export function wishOf({ role, overlay_subnets: subnets }: Pick<Config, "role" | "overlay_subnets">): OverlayWish {
  return defaultWish(subnets === "by-role" ? role : subnets === "yes" ? "agent" : "master");
}

function notAnAddress(text: string): NetError {
  const remedy = "set gossip_address to an address of this host, or to 0.0.0.0 for all";
  return new NetError("invalid", { tried: `listen on ${text.slice(0, 60)}`, said: "it isn't an IP address", remedy });
}
