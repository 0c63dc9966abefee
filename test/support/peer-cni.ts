import { type Machine, PLUGIN_PATH, type Ran } from "./peer-machine.ts";

/** One call of a plugin. An environment value of undefined leaves the variable out. */
export interface Call {
  /** The name of the executable. */
  readonly plugin: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** An object is sent as JSON, a string as it is. */
  readonly stdin: object | string;
}

/** The variables of a call for a container whose namespace was made with `ip netns add <container>`. */
export function attachment(command: string, container: string, ifname = "eth0"): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: container,
    CNI_NETNS: `/run/netns/${container}`,
    CNI_IFNAME: ifname,
    CNI_PATH: PLUGIN_PATH,
  };
}

/** Runs the plugin as a runtime does: nothing in the environment but what the call says and PATH. */
export function invoke(machine: Machine, { plugin, env, stdin }: Call): Promise<Ran> {
  const given = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return machine.run([`${PLUGIN_PATH}/${plugin}`], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...Object.fromEntries(given) },
    stdin: typeof stdin === "string" ? stdin : JSON.stringify(stdin),
  });
}
