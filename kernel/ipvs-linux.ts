import { genericFamily } from "./genetlink.ts";
import type { Ipvs } from "./ipvs.ts";
import {
  decodeIpvsDestination,
  decodeIpvsService,
  describeIpvs,
  ipvsDestinationDump,
  ipvsMessage,
  ipvsServiceDump,
} from "./ipvs-message.ts";
import { NETLINK_GENERIC, Netlink } from "./netlink.ts";

const FAMILY = "IPVS";
const REMEDY = "load it (modprobe ip_vs), or choose another data plane for virtual IPs";

interface Opened {
  readonly socket: Netlink;
  readonly family: number;
}

/** IP Virtual Server of the namespace that `enter` runs its action in; the socket is opened at first use. */
export function openIpvs(enter: <T>(action: () => T) => T): Ipvs & { close(): void } {
  let opened: Opened | undefined;
  const open = () => {
    opened ??= enter(openFamily);
    return opened;
  };
  return {
    attempt(operations) {
      const { socket, family } = open();
      return socket.transact(
        operations.map((operation) => ({
          message: ipvsMessage(family, operation),
          tried: () => describeIpvs(operation),
        })),
      );
    },
    services() {
      const { socket, family } = open();
      return socket.dump({ message: ipvsServiceDump(family), tried: () => "list virtual services" }, decodeIpvsService);
    },
    destinations(service) {
      const { socket, family } = open();
      const tried = () => "list the destinations of a virtual service";
      const of = "mark" in service ? service.family : service.ip.family;
      return socket.dump({ message: ipvsDestinationDump(family, service), tried }, (message) =>
        decodeIpvsDestination(message, of),
      );
    },
    close() {
      opened?.socket.close();
      opened = undefined;
    },
  };
}

function openFamily(): Opened {
  const socket = Netlink.open(NETLINK_GENERIC);
  try {
    return { socket, family: genericFamily(socket, FAMILY, REMEDY) };
  } catch (error) {
    socket.close();
    throw error;
  }
}
