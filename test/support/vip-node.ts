import type { VipSettings } from "../../bin/l4lb/settings.ts";
import type { RunningVips } from "../../bin/l4lb/start.ts";
import { Vips } from "../../bin/l4lb/vips.ts";
import { vipKey } from "../../facts/fact.ts";
import { type FactChange, FactView } from "../../facts/view.ts";
import type { ClaimWord } from "../../l4lb/own-claims.ts";
import { formatIp, parseIp } from "../../lib/address.ts";
import { jsonLog } from "../../lib/log.ts";
import { type FakeClock, fakeClock } from "./fake-clock.ts";
import { MemoryDataplane } from "./vip-dataplane.ts";

/** The virtual IPs of node `n1` at 10.0.0.1, over a view that a test fills, a kernel in memory and a clock that it
 *  moves. */
export class VipNode {
  readonly view = new FactView();
  readonly dataplane = new MemoryDataplane();
  readonly clock: FakeClock = fakeClock(1_000_000);
  readonly vips: Vips;
  readonly settings: VipSettings = {
    pools: {
      4: { min: parseIp("11.0.0.0"), max: parseIp("11.0.0.254") },
      6: { min: parseIp("fd01:c::"), max: parseIp("fd01:c::ff") },
    },
    drainMs: 5000,
  };
  /** Lines of the log. */
  readonly logged: string[] = [];
  /** What happened to kernel and names, in order. */
  readonly story: string[] = [];
  isComplete = true;
  settled = 0;
  #version = 1;

  constructor(before: readonly FactChange[] = [], had: readonly Parameters<MemoryDataplane["hold"]>[0][] = []) {
    this.view.apply(before);
    for (const service of had) this.dataplane.hold(service);
    this.dataplane.onChange = (what) => this.story.push(what);
    this.vips = new Vips({
      chosen: { dataplane: this.dataplane, reason: "a test says so" },
      settings: this.settings,
      ...{ node: "n1", addresses: ["10.0.0.1"], view: this.view, clock: this.clock, random: () => 0 },
      isComplete: () => this.isComplete,
      publish: (words) => this.#publish(words),
      name: (names) => {
        for (const { name, addresses } of names) this.story.push(`name ${name} ${addresses.join(" ") || "gone"}`);
      },
      onSettled: () => {
        this.settled += 1;
        return false;
      },
      onChange: () => {},
      log: jsonLog(
        "test",
        "debug",
        () => new Date(this.clock.now()),
        (line) => this.logged.push(line),
      ),
    });
  }

  /** As the agent hands it to its API. */
  running(): RunningVips {
    return {
      settings: this.settings,
      current: () => this.vips,
      problem: () => this.vips.failure,
      watch: () => {},
      named: Promise.resolve(),
      stop: () => this.vips.stop(),
    };
  }

  say(...changes: readonly FactChange[]): void {
    this.view.apply(changes);
  }

  /** The claims that the node has made, `<name> <address> <since>`. */
  claims(): string[] {
    const own = [...this.view.snapshot().vips.values()].filter(({ owner }) => owner === "n1");
    return own.map(({ body: { name, address, since } }) => `${name} ${address} ${since}`).sort();
  }

  /** As gossip does it: what a node says comes back as a fact. */
  #publish(words: readonly ClaimWord[]): void {
    this.view.apply(
      words.map(({ key: { name, family }, claim }): FactChange => {
        const held = { type: "held", owner: "n1", name: `vip/${family}/${name}` } as const;
        if (claim === undefined) return { ...held, fact: undefined };
        const body = { name, address: formatIp(claim.address), since: claim.since };
        const version = this.#version++;
        return { ...held, fact: { kind: "vip", owner: "n1", key: vipKey(body), version, observedAt: 0, body } };
      }),
    );
  }
}
