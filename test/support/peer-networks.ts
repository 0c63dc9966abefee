import { TESTING_REFERENCE } from "./peer-needs.ts";
import { NETWORK, PORT_MAPPINGS } from "./peer-runtime.ts";

/** One way of configuring the test network: the name of a test group, and the network list for the runtime. */
export interface NetworkCase {
  readonly title: string;
  readonly conflist: string;
}

const ATTACHMENT = {
  bridge: NETWORK.bridge,
  isGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: NETWORK.v4 }], [{ subnet: NETWORK.v6 }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  },
};

/** The test network as a chain of the reference's plugin names and, with our plugins, as the one plugin that does
 *  it all. `fixedPorts` is for runtimes whose tool can't publish ports: the mappings stand in the configuration. */
export function networkCases(cniVersion: string, fixedPorts: boolean): NetworkCase[] {
  const ports = fixedPorts
    ? { runtimeConfig: { portMappings: PORT_MAPPINGS } }
    : { capabilities: { portMappings: true, ips: true } };
  const list = (plugins: object[]) => JSON.stringify({ cniVersion, name: "peer", plugins });
  const chain = {
    title: "bridge and portmap",
    conflist: list([
      { type: "bridge", ...ATTACHMENT, ...(fixedPorts ? {} : { capabilities: { ips: true } }) },
      { type: "portmap", ...ports },
    ]),
  };
  const single = { title: "dcos", conflist: list([{ type: "dcos", ...ATTACHMENT, ...ports }]) };
  return TESTING_REFERENCE ? [chain] : [chain, single];
}
