import type { Kernel, LinkSpec } from "../kernel/kernel.ts";
import { hasErrno, messageOf } from "../lib/error.ts";
import type { Files } from "../lib/files.ts";
import { asFlag, asSection, asText, field, optional, type Section, unexpected } from "./config.ts";
import { CNI_ERROR, CniError, OWN_ERROR } from "./error.ts";
import { inTurn } from "./in-turn.ts";
import { type MapperDelegate, readDelegate } from "./port-mapper-delegate.ts";
import type { Call, Host, Plugin } from "./protocol.ts";
import type { Result } from "./result.ts";
import { readPrevResult } from "./result-reader.ts";
import { inSandbox, requireNetns } from "./sandbox.ts";

/** The device that virtual IPs are routed to, in every namespace that has them. */
const DEVICE = "minuteman";
/** By the alias the agent knows the device as its own. */
const ALIAS = "dcos-net l4lb";
const DEFAULT_DIRECTORY = "/var/run/dcos/cni/l4lb";
const TEMPORARY = /\.tmp$/;
const utf8 = new TextDecoder();

interface Settings {
  readonly enabled: boolean;
  /** Where the agent looks for namespaces. */
  readonly directory: string;
}

/** Gives a container that has no way to its node virtual IPs of its own: it leaves the path of its namespace where the
 *  agent looks, which then keeps IPVS there. It takes the configuration of DC/OS' plugin, whose `delegate` connects the
 *  container, and can be chained after another plugin as well. Differences: the device is there before the agent
 *  knows; the loopback is up, without which IPVS takes no backends; a failed ADD leaves nothing; GC works; `spartan`, a
 *  separate way to the DNS server, can't be had, and asking for it is refused. `inProcess` gives the plugin for a
 *  delegate's type where it can run here. */
export function l4lbPlugin(inProcess: (type: string) => Plugin | undefined): Plugin {
  const readInner = (call: Call): MapperDelegate | undefined =>
    field(call.config, "delegate") === undefined ? undefined : readDelegate(call, inProcess);
  return {
    name: "dcos-l4lb",
    about: "dcos-net l4lb plugin: virtual IPs inside a container that has no way to its node",

    add(call, host) {
      refuseSpartan(call.config);
      const settings = readSettings(call.config);
      const inner = readInner(call);
      const result = inner === undefined ? requirePrevious(call) : inner.add(host);
      if (!settings.enabled) return result;
      try {
        register(call, host, settings);
      } catch (error) {
        takeBack(call, host, settings, inner);
        throw error;
      }
      return result;
    },

    del(call, host) {
      inTurn([() => unregister(call, host, readSettings(call.config)), () => readInner(call)?.run("DEL", host)]);
    },

    check(call, host) {
      readInner(call)?.run("CHECK", host);
      const settings = readSettings(call.config);
      if (settings.enabled) checkRegistration(call, host, settings);
    },

    gc(call, host) {
      inTurn([() => collect(host, readSettings(call.config)), () => readInner(call)?.run("GC", host)]);
    },

    status(call, host) {
      refuseSpartan(call.config);
      readSettings(call.config);
      readInner(call)?.run("STATUS", host);
    },
  };
}

function requirePrevious(call: Call): Result {
  const previous = readPrevResult(call.config, call.version);
  if (previous !== undefined) return previous;
  throw new CniError(
    CNI_ERROR.invalidConfig,
    "nothing connects the container",
    "give a delegate, or put the plugin behind another one in a chain",
  );
}

/** Not when deleting: what was never made can be taken away. */
function refuseSpartan(config: Section): void {
  if (optional(config, "spartan", asFlag) === true) {
    throw new CniError(
      CNI_ERROR.unsupportedField,
      "unsupported spartan true",
      "there is no separate way to the DNS server; leave the key out or set it to false, and give the container a route to the node for DNS",
    );
  }
}

function readSettings(config: Section): Settings {
  const section = optional(config, "minuteman", asSection);
  if (section === undefined) return { enabled: true, directory: DEFAULT_DIRECTORY };
  return {
    enabled: optional(section, "enable", asFlag) ?? true,
    directory: optional(section, "path", asDirectory) ?? DEFAULT_DIRECTORY,
  };
}

function asDirectory(value: unknown, at: string): string {
  const path = asText(value, at);
  if (!path.startsWith("/") || path.includes("\0")) throw unexpected(value, at, "an absolute path");
  return path.replace(/\/+$/, "");
}

function fileOf({ containerId }: Call, { directory }: Settings): string {
  return `${directory}/${containerId}`;
}

function register(call: Call, host: Host, settings: Settings): void {
  const netns = requireNetns(call);
  inSandbox(host, netns, addDevice);
  host.files.makeDirectory(settings.directory);
  host.files.replace(fileOf(call, settings), call.netnsPath, 0o644);
}

/** A bridge without ports serves where the kernel has no dummy device. */
function addDevice(kernel: Kernel): void {
  kernel.apply([{ do: "link.set", dev: "lo", set: { up: true } }]);
  if (kernel.link(DEVICE) !== undefined) return;
  const common = { name: DEVICE, up: true, alias: ALIAS } as const;
  const links: readonly LinkSpec[] = [
    { kind: "dummy", ...common },
    { kind: "bridge", ...common },
  ];
  let refusal: Error | undefined;
  for (const link of links) {
    [refusal] = kernel.attempt([{ do: "link.add", link }]);
    if (refusal === undefined || hasErrno(refusal, "EEXIST")) return;
  }
  if (refusal !== undefined) throw refusal;
}

function unregister(call: Call, host: Host, settings: Settings): void {
  host.files.remove(fileOf(call, settings));
  if (call.netns === undefined) return;
  inSandbox(host, call.netns, (kernel) => {
    if (kernel.link(DEVICE)?.alias === ALIAS) kernel.apply([{ do: "link.delete", dev: DEVICE }]);
  });
}

function takeBack(call: Call, host: Host, settings: Settings, inner: MapperDelegate | undefined): void {
  try {
    inTurn([() => unregister(call, host, settings), () => inner?.run("DEL", host)]);
  } catch (error) {
    call.note(`not taken back: ${messageOf(error)}`);
  }
}

function checkRegistration(call: Call, host: Host, settings: Settings): void {
  const path = fileOf(call, settings);
  if (textOf(host.files, path) !== call.netnsPath) {
    throw new CniError(OWN_ERROR.notFound, `${path} doesn't name the container's namespace`);
  }
  const up = inSandbox(host, requireNetns(call), (kernel) => kernel.link(DEVICE)?.up);
  if (up !== true) throw new CniError(OWN_ERROR.notFound, `interface ${DEVICE} is missing or down`);
}

/** The files don't say of which network they are, so what is removed is what names no namespace any more. */
function collect(host: Host, { directory }: Settings): void {
  for (const name of host.files.list(directory)) {
    if (name.startsWith(".") || TEMPORARY.test(name)) continue;
    const path = `${directory}/${name}`;
    const netns = host.kernel().openNetns(textOf(host.files, path) ?? "");
    if (netns === undefined) host.files.remove(path);
    netns?.close();
  }
}

function textOf(files: Files, path: string): string | undefined {
  const content = files.read(path);
  return content === undefined ? undefined : utf8.decode(content).trim();
}
