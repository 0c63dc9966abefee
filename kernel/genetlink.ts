import { cString } from "../lib/bytes.ts";
import { hasErrno, NetError } from "../lib/error.ts";
import { MessageWriter, malformed, readAttributes, readU16 } from "./attribute.ts";
import { type Netlink, NLM_F_REQUEST } from "./netlink.ts";

/** Constants of linux/genetlink.h. */
const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_VERSION = 1;

/** Length of struct genlmsghdr, which follows nlmsghdr. */
export const GENL_HEADER_LENGTH = 4;

/** A generic netlink message with its header; `type` is the number of the family. */
export function genericMessage(type: number, command: number, version: number): MessageWriter {
  return new MessageWriter(type, NLM_F_REQUEST).u8(command).u8(version).u16(0);
}

/** The number that the kernel gave to a generic netlink family. Asking makes newer kernels load the module behind it.
 *  Throws a NetError `unsupported` with `remedy` when the kernel knows none of that name. */
export function genericFamily(socket: Netlink, name: string, remedy: string): number {
  const message = genericMessage(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_VERSION)
    .attribute(CTRL_ATTR_FAMILY_NAME, cString(name))
    .finish();
  const tried = () => `find the generic netlink family ${name}`;
  try {
    return socket.get({ message, tried }, ({ payload }) => {
      const id = readAttributes(payload, GENL_HEADER_LENGTH, [CTRL_ATTR_FAMILY_ID]).get(CTRL_ATTR_FAMILY_ID);
      if (id === undefined) throw malformed(`a generic netlink family ${name} without number`);
      return readU16(id);
    });
  } catch (cause) {
    if (!hasErrno(cause, "ENOENT")) throw cause;
    throw new NetError("unsupported", {
      tried: tried(),
      said: "this kernel has none of that name",
      remedy,
      errno: "ENOENT",
      cause,
    });
  }
}
