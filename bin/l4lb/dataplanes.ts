import { cgroupRoot } from "../../kernel/mounts.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import type { Config } from "../config.ts";
import type { Openers } from "./choose-dataplane.ts";

/** Every data plane, the best first. */
export function openersOf({ l4lb_cgroup: cgroup, l4lb_bpf_dir: pins }: Config): Openers {
  return new Map([
    ["socket", () => openSocketDataplane({ cgroup: cgroup === "" ? cgroupRoot() : cgroup, pins })],
  ]) satisfies Openers;
}
