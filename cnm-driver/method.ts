import type { Section } from "../cni/config.ts";
import type { IpamDriver } from "./ipam.ts";
import { ADDRESS_SPACE } from "./lease.ts";
import type { NetworkDriver } from "./network.ts";
import type { DockerOverlay } from "./overlay.ts";
import { readNetworkId } from "./request.ts";

/** One method of the plugin protocol. `withoutBody` is the reply to a call that has lost its body. */
export type Method =
  | { readonly needs: "nothing"; readonly run: () => object }
  | { readonly needs: "body"; readonly run: (body: Section) => object; readonly withoutBody?: object }
  /** Waits until this node's overlays are known. */
  | { readonly needs: "overlays"; readonly run: (body: Section, overlays: readonly DockerOverlay[]) => object };

const body = (run: (body: Section) => object): Method => ({ needs: "body", run });
const nothing = (reply: object): Method => ({ needs: "nothing", run: () => reply });
const overlays = (run: (body: Section, overlays: readonly DockerOverlay[]) => object): Method => ({
  needs: "overlays",
  run,
});

/** The methods of Docker's remote network and IPAM drivers (docs.docker.com/engine/extend), by the last part of their
 *  path. Whatever removes needs no overlays, so that it always works.
 *
 *  Scope `local`: every node's agent makes the networks of the cluster itself, and Docker's swarm mode doesn't take
 *  drivers of this kind. Connectivity scope `global`: containers of all nodes reach each other. */
export function pluginMethods(network: NetworkDriver, ipam: IpamDriver): ReadonlyMap<string, Method> {
  return new Map<string, Method>([
    ["Plugin.Activate", nothing({ Implements: ["NetworkDriver", "IpamDriver"] })],
    ["NetworkDriver.GetCapabilities", nothing({ Scope: "local", ConnectivityScope: "global", GwAllocChecker: false })],
    ["NetworkDriver.CreateNetwork", overlays((request, known) => network.createNetwork(request, known))],
    ["NetworkDriver.DeleteNetwork", body((request) => network.deleteNetwork(request))],
    ["NetworkDriver.CreateEndpoint", overlays((request, known) => network.createEndpoint(request, known))],
    ["NetworkDriver.DeleteEndpoint", body((request) => network.deleteEndpoint(request))],
    [
      "NetworkDriver.EndpointOperInfo",
      // Docker makes nothing of the reply, but a start fails that gets none.
      { needs: "body", run: (request) => network.endpointInfo(request), withoutBody: { Value: {} } },
    ],
    ["NetworkDriver.Join", overlays((request, known) => network.join(request, known))],
    ["NetworkDriver.Leave", body((request) => network.leave(request))],
    ["NetworkDriver.ProgramExternalConnectivity", overlays((request, known) => network.program(request, known))],
    ["NetworkDriver.RevokeExternalConnectivity", body((request) => network.revoke(request))],
    // The cluster tells us of other nodes better than Docker can.
    ["NetworkDriver.DiscoverNew", body(() => ({}))],
    ["NetworkDriver.DiscoverDelete", body(() => ({}))],
    // Asked by swarm managers only; a network needs nothing from there.
    ["NetworkDriver.AllocateNetwork", body((request) => checked(request, { Options: {} }))],
    ["NetworkDriver.FreeNetwork", body((request) => checked(request, {}))],
    ["IpamDriver.GetCapabilities", nothing({ RequiresMACAddress: false, RequiresRequestReplay: false })],
    [
      "IpamDriver.GetDefaultAddressSpaces",
      nothing({ LocalDefaultAddressSpace: ADDRESS_SPACE, GlobalDefaultAddressSpace: "dcos-global" }),
    ],
    ["IpamDriver.RequestPool", overlays((request, known) => ipam.requestPool(request, known))],
    ["IpamDriver.ReleasePool", body((request) => ipam.releasePool(request))],
    ["IpamDriver.RequestAddress", overlays((request, known) => ipam.requestAddress(request, known))],
    ["IpamDriver.ReleaseAddress", body((request) => ipam.releaseAddress(request))],
  ]);
}

/** The reply to a call that names a network and wants nothing done. */
function checked(request: Section, reply: object): object {
  readNetworkId(request);
  return reply;
}
