import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** The reference plugins as Debian installs them. */
export const REFERENCE = "/usr/lib/cni";

/** The plugins under test: the environment's OUR_PLUGINS, or what the build leaves. Another copy of the reference shows
 *  what the harness itself does to the numbers: every ratio must be near 1. */
export const OURS = process.env["OUR_PLUGINS"] ?? resolve(import.meta.dir, "../../dist/cni");

/** One plugin call of a chain. */
export interface Step {
  /** Path of the executable. */
  readonly plugin: string;
  /** Network configuration, without name, cniVersion and prevResult. */
  readonly config: { readonly type: string; readonly ipam?: object };
}

export interface NetworkOptions {
  readonly masquerade: boolean;
  /** Publish port 80 of the container as this port of the host. */
  readonly hostPort?: number;
}

/** The calls that attach a container with the plugins of `directory`: one where `dcos` is there, which does all in a
 *  process; bridge and portmap one after the other with the reference. */
export function chainOf(directory: string, { masquerade, hostPort }: NetworkOptions): Step[] {
  const all = existsSync(join(directory, "dcos"));
  const ports = {
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] },
  };
  const bridge = {
    bridge: "bench0",
    isGateway: true,
    ipMasq: masquerade,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.88.0.0/16" }]], routes: [{ dst: "0.0.0.0/0" }] },
  };
  if (all) {
    const config = hostPort === undefined ? bridge : { ...bridge, ...ports };
    return [{ plugin: join(directory, "dcos"), config: { type: "dcos", ...config } }];
  }
  const first = { plugin: join(directory, "bridge"), config: { type: "bridge", ...bridge } };
  if (hostPort === undefined) return [first];
  return [first, { plugin: join(directory, "portmap"), config: { type: "portmap", ...ports } }];
}
