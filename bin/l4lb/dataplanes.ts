import { release } from "node:os";
import { basename, dirname } from "node:path";
import { linuxFiles } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { openIpvsDataplane } from "../../l4lb/dataplanes/ipvs.ts";
import { openNftablesDataplane } from "../../l4lb/dataplanes/nftables.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { nodeCgroup } from "../../l4lb/dataplanes/socket-foundation.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Config } from "../config.ts";
import type { Openers } from "./choose-dataplane.ts";

/** Every data plane, the best first: see docs/decisions/007-choice-of-dataplane.md. */
export function openersOf(config: Config): Openers {
  const { l4lb_cgroup: cgroup, l4lb_bpf_dir: pins, l4lb_cni_dir: directory } = config;
  const socket = () => {
    const places = { bpffs: dirname(pins), folder: basename(pins) };
    return openSocketDataplane({ ...places, cgroup: cgroup === "" ? nodeCgroup() : cgroup });
  };
  const namespaces = { files: linuxFiles, directory };
  const ipvs = (kernel: Kernel) => openIpvsDataplane(kernel, { release: release(), random: Math.random, namespaces });
  return new Map([
    ["nftables", (kernel: Kernel) => openNftablesDataplane(kernel, systemClock)],
    ["socket", socket],
    ["ipvs", ipvs],
  ]);
}
