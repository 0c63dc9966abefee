import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { LabNodeStatus, LabStatus } from "../../bin/lab/status.ts";
import { type Agreement, agreementOf } from "./agreement.ts";
import { eventually, Labs, SOON_MS } from "./lab.ts";

/** In which a daemon must have begun, and ended, on a busy machine, milliseconds. */
const BEGIN_LIMIT_MS = 60_000;

/** Debian's libfaketime: gives a program another clock. */
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

interface Explained {
  readonly node: string;
  readonly tunnel?: { readonly addresses: readonly string[]; readonly mac: string };
  readonly overlays: readonly { readonly here: readonly string[] }[];
}

/** A lab whose hosts find each other by gossip, with what tests do to its daemons. */
export class ClusterLab {
  readonly labs = new Labs();
  /** Every piece of address space that any node was ever seen with, and whose it was. */
  readonly #owners = new Map<string, string>();

  async up(...options: string[]): Promise<void> {
    await this.labs.ok("lab", "up", ...options);
  }

  /** Also of a lab that isn't healthy. */
  async status(): Promise<LabStatus> {
    return JSON.parse((await this.labs.run("lab", "status", "--json")).stdout) as LabStatus;
  }

  async node(number: number): Promise<LabNodeStatus> {
    const found = (await this.status()).nodes.find(({ name }) => name === `n${number}`);
    if (found === undefined) throw new Error(`the lab has no host n${number}`);
    return found;
  }

  path(number: number, name: string): string {
    return join(this.labs.root, "lab", `n${number}`, name);
  }

  log(number: number): string {
    return readFileSync(this.path(number, "agent.log"), "utf8");
  }

  onHost(number: number, ...command: string[]): Promise<string> {
    return this.labs.ok("lab", "exec", "--node", String(number), "--", ...command);
  }

  inContainer(name: string, ...command: string[]): Promise<string> {
    return this.labs.ok("lab", "exec", "--name", name, "--", ...command);
  }

  /** Path of a container's network namespace. */
  async netnsOf(container: string): Promise<string> {
    return (await this.status()).containers.find(({ name }) => name === container)?.netns ?? "";
  }

  /** Pings from one container to another while `action` runs; what ping says. */
  async pinging(from: string, to: string, action: () => Promise<void>): Promise<string> {
    const [address, netns] = [await this.addressOf(to), await this.netnsOf(from)];
    const ping = Bun.spawn(["nsenter", `--net=${netns}`, "ping", "-i", "0.02", "-W", "2", address], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const output = ping.stdout.text();
    try {
      await action();
    } finally {
      // Only with this signal ping tells what was lost.
      ping.kill("SIGINT");
    }
    return output;
  }

  async addressOf(container: string): Promise<string> {
    const found = (await this.status()).containers.find(({ name }) => name === container);
    return found?.addresses[0] ?? "no address";
  }

  async signal(number: number, signal: NodeJS.Signals): Promise<void> {
    const { agent } = await this.node(number);
    if (agent.pid === undefined) throw new Error(`no agent has run on n${number}`);
    process.kill(agent.pid, signal);
    if (signal === "SIGSTOP" || signal === "SIGCONT" || signal === "SIGHUP") return;
    await eventually(
      BEGIN_LIMIT_MS,
      () => this.#isThere(agent.pid ?? 0),
      (isThere) => !isThere,
    );
  }

  /** Starts the daemon of a host as `lab up` does; returns when it has told of itself. `variables` are added to its
   *  environment, each as NAME=VALUE. */
  async start(number: number, ...variables: readonly string[]): Promise<void> {
    const pid = async () => (await this.node(number)).agent.pid;
    const before = await pid();
    const script =
      'config=$1 log=$2; shift 2; setsid env "$@" dcos-net --config "$config" agent >>"$log" 2>&1 </dev/null &';
    const files = [this.path(number, "config.json"), this.path(number, "agent.log")];
    await this.onHost(number, "sh", "-c", script, "sh", ...files, ...variables);
    await eventually(BEGIN_LIMIT_MS, pid, (now) => now !== before);
  }

  /** Starts the daemon of a host with a wall clock of its own, which is moved by {@link moveClock}. */
  startWithClock(number: number): Promise<void> {
    this.moveClock(number, "+0");
    return this.start(
      number,
      `LD_PRELOAD=${FAKETIME}`,
      `FAKETIME_TIMESTAMP_FILE=${this.path(number, "clock")}`,
      "FAKETIME_NO_CACHE=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
    );
  }

  /** Sets the clock that a host's daemon sees to another offset from the machine's: `+1d`. */
  moveClock(number: number, offset: string): void {
    writeFileSync(this.path(number, "clock"), `${offset}\n`);
  }

  /** Time of the last line in a daemon's log, by its own clock, milliseconds since 1970. */
  lastLogged(number: number): number {
    const last = this.log(number).trimEnd().split("\n").at(-1) ?? "";
    return Date.parse((JSON.parse(last) as { readonly time: string }).time);
  }

  config(number: number): Readonly<Record<string, string>> {
    return JSON.parse(readFileSync(this.path(number, "config.json"), "utf8"));
  }

  /** Takes away what the daemon of a host knew of the others. */
  forgetView(number: number): void {
    rmSync(this.path(number, "state/facts.snapshot"));
  }

  /** Gives a host's daemon other settings, which it takes when it is started anew. */
  configure(number: number, config: Readonly<Record<string, string>>): void {
    writeFileSync(this.path(number, "config.json"), JSON.stringify(config));
  }

  /** Makes the host a new one at its old address. */
  wipe(number: number): void {
    rmSync(this.path(number, "state"), { recursive: true });
  }

  /** Takes a host's link out of the underlay's bridge, or puts it back. */
  async plug(number: number, plugged: boolean): Promise<void> {
    const change = plugged ? ["master", "underlay"] : ["nomaster"];
    const netns = join(this.labs.root, "lab", "underlay");
    const child = Bun.spawn(["nsenter", `--net=${netns}`, "ip", "link", "set", `n${number}`, ...change]);
    expect(await child.exited).to.equal(0);
  }

  /** Waits until these daemons are healthy and know the same, with so many members alive and unreachable. */
  async agree(numbers: readonly number[], alive: number, unreachable = 0): Promise<void> {
    const names = numbers.map((number) => `n${number}`);
    const ask = async (): Promise<Agreement> =>
      agreementOf((await this.status()).nodes.filter(({ name }) => names.includes(name)));
    await eventually(SOON_MS, ask, (seen) => {
      return (
        seen.problems.length === 0 &&
        seen.contents.length === 1 &&
        seen.alive.join() === String(alive) &&
        seen.unreachable.join() === String(unreachable)
      );
    });
    for (const number of numbers) await this.#note(number);
  }

  /** Notes what a node has, and fails when another one ever had a piece of it. */
  async #note(number: number): Promise<void> {
    const { node, tunnel, overlays } = await this.#explained(number);
    const pieces = [...(tunnel?.addresses ?? []), tunnel?.mac ?? "", ...overlays.flatMap(({ here }) => here)];
    for (const piece of pieces.filter((each) => each !== "")) {
      const owner = this.#owners.get(piece) ?? node;
      expect(owner, `who has had ${piece}`).to.equal(node);
      this.#owners.set(piece, node);
    }
  }

  /** The part of a host in each overlay, as its daemon knows it. */
  async subnetsOf(number: number): Promise<readonly string[]> {
    return (await this.#explained(number)).overlays.flatMap(({ here }) => here);
  }

  async #explained(number: number): Promise<Explained> {
    const config = this.path(number, "config.json");
    const show = ["dcos-net", "--config", config, "overlay", "show", "--json"];
    // The command reads what the daemon saves now and then.
    const ask = () => this.labs.run("lab", "exec", "--node", String(number), "--", ...show);
    const { stdout } = await eventually(SOON_MS, ask, ({ status }) => status === 0);
    return JSON.parse(stdout) as Explained;
  }

  /** Whether something of a process is there. While any of its threads is, so are its sockets and its lock, even when
   *  the first thread has ended. */
  async #isThere(pid: number): Promise<boolean> {
    try {
      return !/^State:\s*[ZX][\s\S]*^Threads:\s*1$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  }
}

/** The ZooKeeper of a lab with `--zk`. */
export class LabZooKeeper {
  readonly #directory: string;
  readonly #netns: string;

  constructor({ labs }: ClusterLab) {
    this.#directory = join(labs.root, "lab", "zookeeper");
    this.#netns = join(labs.root, "lab", "underlay");
  }

  kill(): void {
    process.kill(Number(readFileSync(join(this.#directory, "pid"), "utf8")), "SIGKILL");
  }

  start(): void {
    const command = readFileSync(join(this.#directory, "command"), "utf8").split("\n");
    const child = Bun.spawn(["nsenter", `--net=${this.#netns}`, ...command], {
      stdio: ["ignore", "ignore", "ignore"],
      detached: true,
    });
    child.unref();
    writeFileSync(join(this.#directory, "pid"), String(child.pid));
  }
}
