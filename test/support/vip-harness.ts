import type { Kernel } from "../../kernel/kernel.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import type { Scheduler } from "../../l4lb/service.ts";

/** A data plane as the behaviour suite (vip-behaviour.ts) takes it. */
export interface VipHarness {
  readonly name: string;
  /** Why it can't run on this machine; undefined when it can. */
  unavailable(): string | undefined;
  /** The data plane of the node; a second one of the same node finds what the first has left. `cgroup` is what
   *  `openCgroup` gave. */
  open(node: Kernel, cgroup: string | undefined): Dataplane;
  /** Most backends of a service with a scheduler, where that has a bound of its own. */
  readonly balances?: Partial<Record<Scheduler, number>>;
  /** Connections that a client without pause makes, where it shouldn't be as many as usual. */
  readonly connections?: number;
  /** For a data plane that works on sockets: makes the control group in which the tests' programs are started. */
  openCgroup?(): { readonly path: string; close(): void };
  /** Ways in which somebody else can harm what the data plane has made. Each is done while `tcp 11.0.0.1:80` and
   *  `tcp [fd11::1]:80`, both with three backends, are in force. */
  readonly damages: readonly VipDamage[];
  /** Puts objects of others beside ours, and tells how they look; the answer must stay the same. */
  readonly foreign: { make(node: Kernel): void; look(node: Kernel): string };
  /** All that the data plane leaves in the kernel, as text, besides links, addresses, routes and rules: compared before
   *  `prepare` and after `remove`. */
  left(node: Kernel): string;
}

export interface VipDamage {
  readonly what: string;
  do(node: Kernel): void;
}
