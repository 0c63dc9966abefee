import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { HeldLease } from "../../ipam/directory.ts";
import { collectGarbage } from "../../ipam/gc.ts";
import { formatHolders } from "../../ipam/holders.ts";
import { leasesMeant, type Owner } from "../../ipam/lease.ts";
import { type RangeSet, rangeFor } from "../../ipam/range.ts";
import { type LeaseStore, openStore } from "../../ipam/store.ts";
import { networks, type Usage, usage } from "../../ipam/usage.ts";
import { formatIp } from "../../lib/address.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import { type App, bootId, EXIT } from "../app.ts";
import { configuredNetworks } from "../cni-networks.ts";
import { count, show, table } from "../output.ts";

const LOCK_WAIT_MS = 10_000;

interface Options {
  readonly dataDir?: string;
  readonly cniDir?: string;
  readonly network?: string;
  readonly json?: boolean;
}

/** `dcos-net ipam`: the addresses that containers of this node hold. */
export function addIpam(program: Command, app: App): void {
  const ipam = program.command("ipam").description("addresses of this node's containers");
  withLeases(withRanges(ipam.command("show")))
    .description("used, free and orphaned addresses of each network, and who holds most")
    .action((given: Options) => showUsage(app, given));
  withLeases(withRanges(ipam.command("check")))
    .description("look for leases that are wrong; exit status 1 when there are any")
    .action((given: Options) => check(app, given));
  withLeases(ipam.command("gc"))
    .description("give back addresses that crashes and earlier boots left")
    .requiredOption("--network <name>", "the network")
    .option("--valid <file>", "also give back those of every attachment that isn't in this file")
    .option("--dry-run", "only say what would be given back")
    .addHelpText(
      "after",
      `
FILE is a JSON list as in the CNI specification's cni.dev/valid-attachments: [{"containerID": "…", "ifname": "eth0"}].
Without it no lease is touched that a container of this boot may hold.`,
    )
    .action((given: GcOptions) => collect(app, given));
}

function withLeases(command: Command): Command {
  return command.option("--data-dir <dir>", "where the leases are (setting data_dir)").option("--json", "print JSON");
}

function withRanges(command: Command): Command {
  return command
    .option("--network <name>", "only this network")
    .option("--cni-dir <dir>", "CNI configuration that tells the ranges (setting cni_dir)");
}

/** A directory of leases with what is configured for it. */
interface Place {
  readonly dataDir: string;
  readonly ranges: ReadonlyMap<string, readonly RangeSet[]>;
  /** Configuration files that can't be used, in sentences. */
  readonly problems: readonly string[];
}

function placeOf(app: App, options: Options): Place {
  const { config } = app.settings();
  const dataDir = options.dataDir ?? config.data_dir;
  const { networks: all, problems } = configuredNetworks(app.files, options.cniDir ?? config.cni_dir);
  const here = [...all.values()].filter((network) => network.dataDir === dataDir);
  return { dataDir, ranges: new Map(here.map(({ name, sets }) => [name, sets])), problems };
}

function storeOf({ files }: App, dataDir: string, network: string): LeaseStore {
  return openStore(files, { dataDir, network, bootId: bootId(), lockWaitMs: LOCK_WAIT_MS });
}

/** The networks that are meant: those with leases and those configured; one alone when it is named and known. */
function networksMeant(app: App, { dataDir, ranges }: Place, only: string | undefined): string[] {
  const all = [...new Set([...networks(app.files, dataDir), ...ranges.keys()])].sort();
  if (only === undefined) return all;
  if (all.includes(only)) return [only];
  const said = all.length === 0 ? `${dataDir} has none` : `there are: ${all.join(", ")}`;
  throw new NetError("not-found", { tried: `find network ${JSON.stringify(only)}`, said });
}

function showUsage(app: App, options: Options): void {
  const place = placeOf(app, options);
  const usages = networksMeant(app, place, options.network).map((name) =>
    usage(storeOf(app, place.dataDir, name), place.ranges.get(name)),
  );
  for (const problem of place.problems) app.out.note(`left out: ${problem}`);
  show(app.out, options.json === true, usages.map(plainUsage), () => usageLines(usages));
}

/** Sizes as text, because JSON has no numbers of that size. */
function plainUsage({ sets, ...rest }: Usage) {
  return { ...rest, sets: sets.map((set) => ({ ...set, size: String(set.size), free: String(set.free) })) };
}

function usageLines(usages: readonly Usage[]): string[] {
  if (usages.length === 0) return ["no network has leases here, and none is configured"];
  const rows = usages.flatMap(({ network, used, orphaned, holders, sets }) => {
    if (sets.length === 0) {
      return [[network, "(no configuration)", "?", String(used), String(orphaned), "?", formatHolders(holders)]];
    }
    return sets.map((set) => [
      network,
      set.ranges,
      String(set.size),
      String(set.used),
      String(set.orphaned),
      String(set.free),
      formatHolders(set.holders),
    ]);
  });
  return table(["NETWORK", "RANGES", "SIZE", "USED", "ORPHANED", "FREE", "HOLDERS"], rows, [2, 3, 4, 5]);
}

/** One thing that is wrong with the leases of a network. */
interface Finding {
  readonly network: string;
  readonly address: string;
  readonly problem: string;
}

function check(app: App, options: Options): void {
  const place = placeOf(app, options);
  const findings = networksMeant(app, place, options.network).flatMap((name) => findingsOf(app, place, name));
  show(app.out, options.json === true, findings, (rows) => [
    ...rows.map(({ network, address, problem }) => `${network} ${address}: ${problem}`),
    rows.length === 0 ? "every lease is as it should be" : `${count(rows.length, "problem")} with leases`,
  ]);
  if (findings.length > 0) app.exitCode = EXIT.bad;
}

function findingsOf(app: App, { dataDir, ranges }: Place, network: string): Finding[] {
  const survey = storeOf(app, dataDir, network).survey();
  if (survey === undefined) return [];
  const sets = ranges.get(network);
  const outside = survey.held.filter(({ ip }) => sets?.every((set) => rangeFor(set, ip) === undefined) === true);
  const found = (ips: readonly { readonly ip: HeldLease["ip"] }[], problem: (index: number) => string): Finding[] =>
    ips.map(({ ip }, index) => ({ network, address: formatIp(ip), problem: problem(index) }));
  const bare = (ips: readonly HeldLease["ip"][]) => ips.map((ip) => ({ ip }));
  const { earlierBoot } = survey;
  return [
    ...found(
      earlierBoot,
      (index) => `held since an earlier boot by ${earlierBoot[index]?.holder.id}: ipam gc frees it`,
    ),
    ...found(bare(survey.empty), () => "the file is empty, left by a crash: ipam gc frees it"),
    ...found(bare(survey.foreign), () => "the name is taken by something that is no lease: remove it"),
    ...found(outside, (index) => `outside the ranges of the network, held by ${outside[index]?.holder.id}`),
  ];
}

interface GcOptions extends Options {
  readonly network: string;
  readonly valid?: string;
  readonly dryRun?: boolean;
}

function collect(app: App, options: GcOptions): void {
  const dataDir = options.dataDir ?? app.settings().config.data_dir;
  const store = storeOf(app, dataDir, options.network);
  const survey = store.survey();
  if (survey === undefined) {
    throw new NetError("not-found", {
      tried: `find network ${options.network}`,
      said: `${dataDir} has none of that name`,
      remedy: "see `dcos-net ipam show`",
    });
  }
  const valid = options.valid === undefined ? undefined : readValid(options.valid);
  const old = new Set(survey.earlierBoot);
  const unwanted = valid === undefined ? [] : survey.held.filter((lease) => !old.has(lease) && !isValid(lease, valid));
  const addresses = [...survey.empty, ...[...old, ...unwanted].map(({ ip }) => ip)].map(formatIp);
  const failures = options.dryRun === true ? [] : giveBack(store, valid);
  show(app.out, options.json === true, { network: options.network, addresses, failures }, () => [
    ...addresses.map((address) => `${options.dryRun === true ? "would give back" : "gave back"} ${address}`),
    ...failures.map((failure) => `failed: ${failure}`),
    `${count(addresses.length, "address")} of ${options.network}`,
  ]);
  if (failures.length > 0) app.exitCode = EXIT.bad;
}

/** Opening the leases gives back those of earlier boots and the empty ones; a list of valid attachments ends the
 *  rest. */
function giveBack(store: LeaseStore, valid: readonly Owner[] | undefined): string[] {
  if (valid !== undefined) return collectGarbage(store, valid).failures.map(messageOf);
  store.lockedIfPresent((leases) => leases.all());
  return [];
}

function isValid(lease: HeldLease, valid: readonly Owner[]): boolean {
  return valid.some(({ id, ifname }) => id === lease.holder.id && leasesMeant([lease], ifname).length > 0);
}

function readValid(path: string): Owner[] {
  const refuse = (said: string) =>
    new NetError("invalid", { tried: `read valid attachments from ${path}`, said, remedy: "see `ipam gc --help`" });
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw refuse(messageOf(error));
  }
  if (!Array.isArray(list)) throw refuse("it isn't a JSON list");
  return list.map((entry: unknown) => {
    const { containerID, ifname } = (entry ?? {}) as { containerID?: unknown; ifname?: unknown };
    if (typeof containerID === "string" && typeof ifname === "string") return { id: containerID, ifname };
    throw refuse(`${JSON.stringify(entry).slice(0, 100)} has no containerID and ifname`);
  });
}
