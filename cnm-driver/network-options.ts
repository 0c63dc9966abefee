import { asSection, asText, type Section } from "../cni/config.ts";
import { NetError } from "../lib/error.ts";

/** The options of `docker network create -o key=value`. */
export interface NetworkOptions {
  readonly overlay: string | undefined;
  /** Bytes. */
  readonly mtu: number | undefined;
  readonly bridge: string | undefined;
  readonly isolated: boolean;
  readonly masquerade: boolean;
}

/** Where Docker puts the user's options. */
const GENERIC = "com.docker.network.generic";
const OVERLAY = "overlay";
const ISOLATED = "isolated";
const MTU = "com.docker.network.driver.mtu";
const BRIDGE = "com.docker.network.bridge.name";
const ICC = "com.docker.network.bridge.enable_icc";
const MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade";
const KNOWN = [OVERLAY, ISOLATED, MTU, BRIDGE, ICC, MASQUERADE];

const INTERNAL = "com.docker.network.internal";

/** Reads the driver options out of `Options` of CreateNetwork. The names are those of Docker's bridge driver where it
 *  has the same setting. Throws `invalid` naming an option that doesn't exist or the value that doesn't fit. */
export function readNetworkOptions(options: Section): NetworkOptions {
  const generic = options.fields[GENERIC];
  const given = generic === undefined || generic === null ? {} : asSection(generic, GENERIC).fields;
  const unknown = Object.keys(given).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) throw refuse(unknown, "this driver has no such option", `it has ${KNOWN.join(", ")}`);
  const read = (key: string) => (given[key] === undefined ? undefined : asText(given[key], key));
  const flag = (key: string) => readFlag(key, read(key));
  return {
    overlay: read(OVERLAY),
    mtu: readMtu(read(MTU)),
    bridge: readBridge(read(BRIDGE)),
    isolated: flag(ISOLATED) ?? flag(ICC) === false,
    masquerade: flag(MASQUERADE) ?? true,
  };
}

/** `--internal`. */
export function isInternal(options: Section): boolean {
  const value = options.fields[INTERNAL];
  return value === true || value === "true";
}

/** As Docker's own drivers read them (Go's strconv.ParseBool). */
function readFlag(key: string, value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  throw refuse(key, `${JSON.stringify(value.slice(0, 50))} is no truth value`, "give true or false");
}

function readMtu(value: string | undefined): number | undefined {
  if (value === undefined || value === "0") return undefined;
  const mtu = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (mtu >= 68 && mtu <= 65535) return mtu;
  throw refuse(MTU, `${JSON.stringify(value.slice(0, 50))} is no MTU`, "give bytes from 68 to 65535");
}

function readBridge(value: string | undefined): string | undefined {
  if (value === undefined || (/^[\w.-]{1,15}$/.test(value) && !/^\.{1,2}$/.test(value))) return value;
  throw refuse(BRIDGE, `${JSON.stringify(value.slice(0, 50))} is no name of a link`, "give 1 to 15 letters and digits");
}

function refuse(key: string, said: string, remedy: string): NetError {
  return new NetError("invalid", { tried: `use driver option ${JSON.stringify(key.slice(0, 100))}`, said, remedy });
}
