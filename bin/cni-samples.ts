import { formatPrefix, type Prefix } from "../lib/address.ts";

/** Who reads a CNI configuration. */
export const CONSUMERS = ["podman", "containerd", "mesos"] as const;
export type Consumer = (typeof CONSUMERS)[number];

export interface Sample {
  /** Where the text usually goes. */
  readonly path: string;
  readonly text: string;
}

/** A complete configuration of one bridge network with our plugin, in the form that the consumer reads. */
export function sampleConfig(consumer: Consumer, name: string, subnets: readonly Prefix[]): Sample {
  const plugin = {
    type: "dcos",
    bridge: `cni-${name}`.slice(0, 15),
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: {
      type: "host-local",
      ranges: subnets.map((subnet) => [{ subnet: formatPrefix(subnet) }]),
      routes: subnets.map(({ ip }) => ({ dst: ip.family === 4 ? "0.0.0.0/0" : "::/0" })),
    },
  };
  // Mesos hands over host ports by itself, reads a single plugin, and parses only the result of configurations without
  // a version.
  if (consumer === "mesos") return { path: `<network_cni_config_dir>/${name}.conf`, text: pretty({ name, ...plugin }) };
  const capabilities = { portMappings: true, ips: true, mac: true };
  const list = { cniVersion: "1.0.0", name, plugins: [{ ...plugin, capabilities }] };
  return { path: `/etc/cni/net.d/${consumer === "podman" ? "87" : "10"}-${name}.conflist`, text: pretty(list) };
}

function pretty(value: object): string {
  return JSON.stringify(value, null, 2);
}
