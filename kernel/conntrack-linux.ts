import { ipBytes, ipFromBytes } from "../lib/address.ts";
import { hasErrno } from "../lib/error.ts";
import { type Attributes, MessageWriter, readAttributes, readU8, readU16Network } from "./attribute.ts";
import type { Conntrack, Flow, FlowDestination } from "./conntrack.ts";
import { type Message, NETLINK_NETFILTER, Netlink, NLM_F_REQUEST, type Request } from "./netlink.ts";

/** Numbers of linux/netfilter/nfnetlink.h and linux/netfilter/nfnetlink_conntrack.h. */
const SUBSYSTEM = 1 << 8;
const IPCTNL_MSG_CT_GET = SUBSYSTEM | 1;
const IPCTNL_MSG_CT_DELETE = SUBSYSTEM | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** Fields of a tuple that a filter compares (CTA_FILTER_FLAG of net/netfilter/nf_conntrack_netlink.c). */
const FILTER_IP_DST = 1 << 1;
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_PROTO_DST_PORT = 1 << 5;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
/** struct nfgenmsg: family, version, resource id. */
const FAMILY_HEADER = 4;
/** linux/netlink.h: connection tracking insists on it, unlike rtnetlink. */
const NLA_F_NESTED = 0x8000;
const AF = { 4: 2, 6: 10 } as const;

/** Connection tracking of the namespace that `enter` runs its action in; the socket is opened at first use. */
export function openConntrack(enter: <T>(action: () => T) => T): Conntrack & { close(): void } {
  let opened: Netlink | undefined;
  const socket = () => {
    opened ??= enter(() => Netlink.open(NETLINK_NETFILTER));
    return opened;
  };
  return {
    list: (family) => dump(socket(), family, undefined, flowOf),
    delete(family, match, only) {
      const doomed = dump(socket(), family, only, (attributes) => {
        const flow = flowOf(attributes);
        return flow !== undefined && match(flow) ? deletion(family, attributes) : undefined;
      });
      return doomed.length === 0 ? 0 : deleted(socket().transact(doomed));
    },
    close() {
      opened?.close();
      opened = undefined;
    },
  };
}

function dump<T>(
  socket: Netlink,
  family: 4 | 6,
  only: FlowDestination | undefined,
  decode: (attributes: Attributes) => T | undefined,
): T[] {
  const writer = new MessageWriter(IPCTNL_MSG_CT_GET, NLM_F_REQUEST).u8(AF[family]).u8(0).u16(0);
  if (only !== undefined) writeFilter(writer, family, only);
  const tried = () => `list tracked IPv${family} connections`;
  return socket.dump({ message: writer.finish(), tried }, (answer: Message) =>
    decode(readAttributes(answer.payload, FAMILY_HEADER)),
  );
}

/** Older kernels ignore what they don't know, and list all flows. */
function writeFilter(writer: MessageWriter, family: 4 | 6, only: FlowDestination): void {
  writer.nest(CTA_TUPLE_ORIG | NLA_F_NESTED, (tuple) => {
    tuple.nest(CTA_TUPLE_IP | NLA_F_NESTED, (ip) => {
      ip.attribute(family === 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, ipBytes(only.destination));
    });
    tuple.nest(CTA_TUPLE_PROTO | NLA_F_NESTED, (proto) => {
      proto.attributeU8(CTA_PROTO_NUM, only.protocol);
      proto.attributeU16Network(CTA_PROTO_DST_PORT, only.destinationPort);
    });
  });
  writer.nest(CTA_FILTER | NLA_F_NESTED, (filter) => {
    // The kernel compares IPv6 addresses the wrong way round (ctnetlink_filter_match_tuple, seen in 6.18), so that only
    // those of others would be listed.
    const address = family === 4 ? FILTER_IP_DST : 0;
    filter.attributeU32(CTA_FILTER_ORIG_FLAGS, address | FILTER_PROTO_NUM | FILTER_PROTO_DST_PORT);
    filter.attributeU32(CTA_FILTER_REPLY_FLAGS, 0);
  });
}

/** Undefined for a protocol without ports, such as ICMP. Exported for the fuzz test. */
export function flowOf(attributes: Attributes): Flow | undefined {
  const original = tupleOf(attributes.get(CTA_TUPLE_ORIG));
  const reply = tupleOf(attributes.get(CTA_TUPLE_REPLY));
  if (original === undefined || reply === undefined) return undefined;
  return { ...original, replySource: reply.source, replySourcePort: reply.sourcePort };
}

type Tuple = Omit<Flow, "replySource" | "replySourcePort">;

function tupleOf(bytes: Uint8Array | undefined): Tuple | undefined {
  if (bytes === undefined) return undefined;
  const parts = readAttributes(bytes);
  const ip = readAttributes(parts.get(CTA_TUPLE_IP) ?? new Uint8Array());
  const protocol = readAttributes(parts.get(CTA_TUPLE_PROTO) ?? new Uint8Array());
  const source = ip.get(CTA_IP_V4_SRC) ?? ip.get(CTA_IP_V6_SRC);
  const destination = ip.get(CTA_IP_V4_DST) ?? ip.get(CTA_IP_V6_DST);
  const number = protocol.get(CTA_PROTO_NUM);
  const sourcePort = protocol.get(CTA_PROTO_SRC_PORT);
  const destinationPort = protocol.get(CTA_PROTO_DST_PORT);
  if (!source || !destination || !number || !sourcePort || !destinationPort) return undefined;
  return {
    protocol: readU8(number),
    source: ipFromBytes(source),
    destination: ipFromBytes(destination),
    sourcePort: readU16Network(sourcePort),
    destinationPort: readU16Network(destinationPort),
  };
}

/** Deletes exactly the flow that was listed: its number keeps a new one with the same addresses and ports alive. */
function deletion(family: 4 | 6, attributes: Attributes): Request {
  const writer = new MessageWriter(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST).u8(AF[family]).u8(0).u16(0);
  for (const type of [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE]) {
    const payload = attributes.get(type);
    if (payload !== undefined) writer.attribute(type === CTA_TUPLE_ORIG ? type | NLA_F_NESTED : type, payload);
  }
  return { message: writer.finish(), tried: () => `delete a tracked IPv${family} connection` };
}

function deleted(outcome: readonly (Error | undefined)[]): number {
  let count = 0;
  for (const error of outcome) {
    if (error === undefined) count++;
    else if (!hasErrno(error, "ENOENT")) throw error;
  }
  return count;
}
