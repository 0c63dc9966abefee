import { formatIp, tryParseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import type { IpSource } from "./config.ts";

/** Ports of one task at most; a range may name 65,535 in ten characters. */
const PORTS_MOST = 4096;

export interface HostPort {
  /** Address in canonical text, or a name to resolve. */
  readonly host: string;
  readonly port: number;
}

export interface StateTask {
  readonly id: string;
  readonly name: string;
  readonly agentId: string;
  /** Ports of the agent that it was given. */
  readonly ports: readonly number[];
  readonly discovery: { readonly name: string; readonly ports: readonly StatePort[] } | undefined;
  /** Addresses that its newest running status has, by source. */
  readonly addresses: Readonly<Record<Exclude<IpSource, "host">, readonly string[]>>;
}

export interface StatePort {
  readonly number: number;
  /** Empty: both tcp and udp. */
  readonly protocol: string;
  /** Empty when it has none. */
  readonly name: string;
}

export interface StateFramework {
  readonly name: string;
  /** Where its scheduler listens: from its pid, or its host name without a port. */
  readonly scheduler: { readonly host: string; readonly port: number | undefined } | undefined;
  readonly tasks: readonly StateTask[];
}

export interface StateAgent {
  readonly id: string;
  readonly endpoint: HostPort | undefined;
}

/** What names are made from of a Mesos master's /state. */
export interface MesosState {
  readonly leader: HostPort;
  readonly agents: readonly StateAgent[];
  readonly frameworks: readonly StateFramework[];
}

type Json = Readonly<Record<string, unknown>>;

/** Reads the answer of /master/state. An entry that can't be read is left out, and the rest is used; `onSkipped` is
 *  told of each. Throws a NetError `invalid` when there is no leader, or nothing of it is a state. */
export function readState(value: unknown, onSkipped: (what: string) => void): MesosState {
  const state = object(value);
  const leader = parsePid(text(state["leader"]));
  if (leader === undefined) {
    const said = `its leader is ${JSON.stringify(state["leader"])?.slice(0, 100)}`;
    throw new NetError("invalid", { tried: "read the state of a Mesos master", said });
  }
  return {
    leader,
    agents: list(state["slaves"]).flatMap((each) => readAgent(object(each), onSkipped)),
    frameworks: list(state["frameworks"]).flatMap((each) => readFramework(object(each), onSkipped)),
  };
}

/** `slave(1)@10.0.0.1:5051` or `scheduler@[fd01::1]:2000`; undefined when it isn't one. */
export function parsePid(pid: string): HostPort | undefined {
  const [, six, other, digits] = /@(?:\[([^\]]+)\]|([^:[\]@]+)):(\d{1,5})$/.exec(pid) ?? [];
  const host = six ?? other;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host: canonical(host), port };
}

function readAgent(agent: Json, onSkipped: (what: string) => void): StateAgent[] {
  const id = text(agent["id"]);
  if (id === "") {
    onSkipped("an agent without id");
    return [];
  }
  return [{ id, endpoint: parsePid(text(agent["pid"])) }];
}

function readFramework(framework: Json, onSkipped: (what: string) => void): StateFramework[] {
  const name = text(framework["name"]);
  if (name === "") {
    onSkipped("a framework without name");
    return [];
  }
  const pid = parsePid(text(framework["pid"]));
  const hostname = text(framework["hostname"]);
  const byName = hostname === "" ? undefined : { host: canonical(hostname), port: undefined };
  return [
    { name, scheduler: pid ?? byName, tasks: list(framework["tasks"]).flatMap((each) => readTask(object(each))) },
  ];
}

/** Only tasks that run have names. */
function readTask(task: Json): StateTask[] {
  if (task["state"] !== "TASK_RUNNING") return [];
  const discovery = object(task["discovery"]);
  const name = text(discovery["name"]);
  return [
    {
      id: text(task["id"]),
      name: text(task["name"]),
      agentId: text(task["slave_id"]),
      ports: readPorts(text(object(task["resources"])["ports"])),
      discovery: name === "" ? undefined : { name, ports: list(object(discovery["ports"])["ports"]).flatMap(readPort) },
      addresses: readAddresses(list(task["statuses"]).map(object)),
    },
  ];
}

function readPort(value: unknown): StatePort[] {
  const port = object(value);
  const number = port["number"];
  if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > 65_535) return [];
  return [{ number, protocol: text(port["protocol"]), name: text(port["name"]) }];
}

/** `[31000-31001, 31005-31005]`, or with single numbers. */
function readPorts(ranges: string): number[] {
  const ports: number[] = [];
  for (const [, first, last] of ranges.matchAll(/(\d{1,5})(?:\s*-\s*(\d{1,5}))?/g)) {
    const end = Math.min(Number(last ?? first), 65_535);
    for (let port = Number(first); port <= end && ports.length < PORTS_MOST; port++) ports.push(port);
  }
  return ports;
}

function readAddresses(statuses: readonly Json[]): StateTask["addresses"] {
  const running = statuses.filter((status) => status["state"] === "TASK_RUNNING");
  const time = (status: Json): number => (typeof status["timestamp"] === "number" ? status["timestamp"] : 0);
  const newest = running.reduce<Json>((a, b) => (time(b) > time(a) ? b : a), running[0] ?? {});
  const labels = list(newest["labels"]).map(object);
  const ofLabel = (key: string): string[] =>
    labels.filter((each) => each["key"] === key).map((each) => text(each["value"]));
  return {
    netinfo: addressesIn(list(object(newest["container_status"])["network_infos"]).flatMap(networkAddresses)),
    docker: addressesIn(ofLabel("Docker.NetworkSettings.IPAddress")),
    mesos: addressesIn(ofLabel("MesosContainerizer.NetworkSettings.IPAddress")),
  };
}

function networkAddresses(value: unknown): string[] {
  const network = object(value);
  const addresses = list(network["ip_addresses"]).map((each) => text(object(each)["ip_address"]));
  return addresses.length > 0 ? addresses : [text(network["ip_address"])];
}

function addressesIn(texts: readonly string[]): string[] {
  return texts.flatMap((each) => {
    const ip = tryParseIp(each);
    return ip === undefined ? [] : [formatIp(ip)];
  });
}

function canonical(host: string): string {
  const ip = tryParseIp(host);
  return ip === undefined ? host.toLowerCase() : formatIp(ip);
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
