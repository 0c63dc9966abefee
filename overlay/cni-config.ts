import { formatIp, formatPrefix, type Ip, type Prefix } from "../lib/address.ts";

/** One node's part of one overlay, as its containers are to be attached. */
export interface LocalNetwork {
  readonly name: string;
  readonly bridge: string;
  /** Bytes. */
  readonly mtu: number;
  /** The lower half of the node's subnet and its gateway, one of each family that the overlay has. */
  readonly ranges: readonly { readonly subnet: Prefix; readonly gateway: Ip }[];
  /** Every overlay's addresses: packets to them keep their source address. */
  readonly inside: readonly Prefix[];
}

/** Where our mark is in a file: `"dcosNet": {"managed": true}`. */
export const MARK = { dcosNet: { managed: true } } as const;

/**
 * CNI configuration of these networks: file name → text. Two files for each network: `<name>.conf` is what Mesos
 * reads, one plugin and no `cniVersion`, so that results have the only shape that Mesos parses (0.2.0);
 * `<name>.conflist` is what podman, containerd and others read, which also lets them hand over port mappings,
 * addresses and a hardware address. Mesos skips a conflist, the others prefer it, so one folder can serve both.
 *
 * `dataDir` is the folder of the address leases; the plugin's default when undefined.
 */
export function cniFiles(networks: readonly LocalNetwork[], dataDir: string | undefined): Map<string, string> {
  const files = new Map<string, string>();
  for (const network of networks) {
    const plugin = pluginConfig(network, dataDir);
    files.set(`${network.name}.conf`, json({ name: network.name, ...plugin, ...MARK }));
    const capabilities = { portMappings: true, ips: true, mac: true };
    const list = { cniVersion: "1.0.0", name: network.name, plugins: [{ ...plugin, capabilities }], ...MARK };
    files.set(`${network.name}.conflist`, json(list));
  }
  return files;
}

function pluginConfig({ bridge, mtu, ranges, inside }: LocalNetwork, dataDir: string | undefined): object {
  return {
    type: "dcos",
    bridge,
    isGateway: true,
    hairpinMode: true,
    ipMasq: true,
    ipMasqExclude: inside.map(formatPrefix),
    mtu,
    ipam: {
      type: "host-local",
      ...(dataDir === undefined ? {} : { dataDir }),
      ranges: ranges.map(({ subnet, gateway }) => [{ subnet: formatPrefix(subnet), gateway: formatIp(gateway) }]),
      routes: ranges.map(({ subnet }) => ({ dst: subnet.ip.family === 4 ? "0.0.0.0/0" : "::/0" })),
    },
  };
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
