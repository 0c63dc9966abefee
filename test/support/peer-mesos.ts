import { tryParsePrefix } from "../../lib/address.ts";

/** The environment that Mesos gives a plugin; CNI_NETNS is absent when the namespace handle is gone. */
export interface MesosEnvironment {
  readonly CNI_COMMAND: string;
  readonly CNI_CONTAINERID: string;
  readonly CNI_IFNAME: string;
  readonly CNI_NETNS?: string;
  readonly CNI_PATH: string;
  readonly PATH: string;
}

/** One call of a plugin as recorded on a running Mesos agent. */
export interface Recorded {
  readonly time: string;
  readonly plugin: string;
  readonly command: string;
  readonly env: MesosEnvironment;
  readonly stdin: string;
  readonly stdout: string;
  readonly rc: string;
}

/** What Mesos' `network/cni` isolator takes from a plugin's answer: addresses with their prefix lengths, and DNS. */
export interface MesosNetwork {
  readonly ip4: string | undefined;
  readonly ip6: string | undefined;
  readonly nameservers: readonly string[];
}

/** The calls of a recording that Mesos itself made. Of those that one plugin made of another, host-local's passed
 *  through a shell, which left its mark in their environment; the port mapper's are for an interface that it serves. */
export function callsOfMesos(recording: readonly Recorded[]): Recorded[] {
  const keyOf = ({ command, env }: Recorded) => `${command} ${env.CNI_CONTAINERID} ${env.CNI_IFNAME}`;
  const isMapper = (call: Recorded) => call.plugin === "mesos-cni-port-mapper";
  const mapped = new Set(recording.filter(isMapper).map(keyOf));
  return recording.filter((call) => !("SHLVL" in call.env) && (isMapper(call) || !mapped.has(keyOf(call))));
}

/** Reads the standard output of ADD by the rules of the isolator: the message of specification 0.2.0, unknown keys
 *  ignored, text where text belongs, addresses with a prefix length. Throws what fails a launch there, and when
 *  there is no address at all, which the isolator accepts and the executor dies of. */
export function parseAsMesos(stdout: string): MesosNetwork {
  const value: unknown = JSON.parse(stdout);
  if (!isObject(value)) throw new Error(`not a JSON object: ${stdout}`);
  const ip4 = addressOf(value, "ip4");
  const ip6 = addressOf(value, "ip6");
  if (ip4 === undefined && ip6 === undefined) throw new Error(`Failed to obtain the IP address: ${stdout}`);
  const { dns } = value;
  const { nameservers } = isObject(dns) ? dns : {};
  return { ip4, ip6, nameservers: texts(nameservers) };
}

function addressOf(result: Record<string, unknown>, key: string): string | undefined {
  const config = result[key];
  if (config === undefined) return undefined;
  if (!isObject(config)) throw new Error(`${key} is not an object`);
  const { ip, gateway, routes } = config;
  if (typeof ip !== "string" || tryParsePrefix(ip) === undefined)
    throw new Error(`${key}.ip has no address and prefix`);
  if (gateway !== undefined && typeof gateway !== "string") throw new Error(`${key}.gateway is not text`);
  if (routes !== undefined && !(Array.isArray(routes) && routes.every(isRoute)))
    throw new Error(`${key}.routes is wrong`);
  return ip;
}

function isRoute(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { dst, gw } = value;
  return typeof dst === "string" && (gw === undefined || typeof gw === "string");
}

function texts(value: unknown): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string"))
    throw new Error("not a list of texts");
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
