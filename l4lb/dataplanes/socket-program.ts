import type { CgroupHook } from "../../kernel/bpf-program.ts";
import type { Family } from "../../lib/address.ts";
import {
  CONNECTION_VALUE,
  ENDPOINT_BYTES,
  MEMBER_VALUE,
  MH_ENTRIES,
  OWNED_KEY,
  PORT_AT,
  PROTOCOL,
  PROTOCOL_AT,
  REMEMBERED_VALUE,
  SCHEDULER_MH,
  SCHEDULER_SH,
  SERVICE_VALUE,
  SLOT_KEY,
  SLOT_VALUE,
} from "./socket-layout.ts";
import { findConnection, forgetConnection, noteConnection } from "./socket-program-record.ts";
import { type MapDescriptors, ProgramWriter } from "./socket-program-writer.ts";

/** What a program is made for. */
export interface ProgramOptions {
  readonly maps: MapDescriptors;
  /** The kernel is Linux 5.18 or later: programs can choose the error of a refused call, which is EPERM otherwise, and
   *  compare and swap (5.12), without which all connections are in `crowded`. */
  readonly isRecent: boolean;
}

/** struct bpf_sock_addr (linux/bpf.h). */
const CTX_PROTOCOL = 36;

/** The stack of a program, by offset from its end. Keys and values lie as in socket-layout.ts. */
const PAIR = -48;
const BACKEND = PAIR + ENDPOINT_BYTES;
const NETNS = PAIR + CONNECTION_VALUE.netns;
/** Key: the service with a cookie. */
const OWNED = -80;
const REMEMBERED = -112;
/** Key: the backend with the socket's cookie. */
const REPLY = -144;
const SLOT = -160;
const COOKIE = -168;
const RECORD = { cookie: COOKIE, connection: PAIR, scratch: COOKIE - 16 } as const;

const ALLOW = 1;
const REFUSE = 0;
const ECONNREFUSED = 111;
/** How often a call chooses anew because the service was changed at that moment. */
const TRIES = 4;
const NS_PER_SECOND = 1_000_000_000;

/** The program for a hook. */
export function socketProgram(hook: CgroupHook, options: ProgramOptions): Uint8Array {
  const writer = new ProgramWriter(options.maps, options.isRecent);
  if (hook === "release") return releaseProgram(writer);
  const family = hook.endsWith("4") ? 4 : 6;
  if (hook === "connect4" || hook === "connect6") return choiceProgram(writer, family, "connect");
  if (hook === "sendmsg4" || hook === "sendmsg6") return choiceProgram(writer, family, "sendmsg");
  return hook === "recvmsg4" || hook === "recvmsg6" ? replyProgram(writer, family) : peerProgram(writer, family);
}

/** connect and sendmsg: the destination becomes a backend of the service that it names.
 *
 *  r7 is the service's value, r8 the random number and then the counter of the choice, r9 how many tries are left. A
 *  connection is noted first; then the service is looked at again, and when it is another version by now, all is
 *  decided anew. So whoever changes a service and then looks through the connections finds everybody who has gone by
 *  the old version. What else is remembered comes last: the verifier goes through the tries one by one. */
function choiceProgram(writer: ProgramWriter, family: Family, call: "connect" | "sendmsg"): Uint8Array {
  destination(writer, family);
  writer.socketCookie(COOKIE);
  writer.move("r1", "r6").call("get_netns_cookie").store(8, "r10", NETNS, "r0");
  writer.move("r9", TRIES);
  writer.label("again").lookUp("services", PAIR).jumpIf("r0", "==", 0, "no service");
  writer
    .move("r7", "r0")
    .load(8, "r1", "r7", SERVICE_VALUE.version)
    .store(8, "r10", SLOT + SLOT_KEY.version, "r1");
  if (call === "sendmsg") keepFlow(writer);
  keepAffinity(writer);
  choose(writer);
  if (call === "connect") noteConnection(writer, RECORD);
  writer.lookUp("services", PAIR).jumpIf("r0", "==", 0, "undo");
  writer.load(8, "r1", "r0", SERVICE_VALUE.version).load(8, "r2", "r10", SLOT + SLOT_KEY.version);
  writer.jumpIf("r1", "==", "r2", "count");
  writer.label("changed").compute("sub", "r9", 1).jumpIf("r9", "!=", 0, "again");
  writer.label("undo");
  if (call === "connect") forgetConnection(writer, RECORD);
  writer.label("refuse");
  if (writer.isRecent) writer.move("r1", -ECONNREFUSED).call("set_retval");
  writer.finishWith(REFUSE);
  writer.label("count").move("r1", 1).atomicAdd("r8", 0, "r1");
  rememberAffinity(writer);
  if (call === "sendmsg") rememberFlow(writer);
  else writer.load(1, "r1", "r10", PAIR + PROTOCOL_AT).jumpIf("r1", "!=", PROTOCOL.udp, "rewrite");
  replyKey(writer);
  rememberReply(writer);
  writer.label("rewrite").rewrite(family, "r10", BACKEND);
  writer.label("allow").finishWith(ALLOW);
  noService(writer, call);
  return writer.finish();
}

/** Puts the destination into PAIR; goes to "allow" unless it is a virtual IP. */
function destination(writer: ProgramWriter, family: Family): void {
  writer.move("r6", "r1").load(4, "r7", "r6", CTX_PROTOCOL);
  writer.jumpIf("r7", "==", PROTOCOL.tcp, "known").jumpIf("r7", "!=", PROTOCOL.udp, "allow").label("known");
  writer.endpoint(family, PAIR).store(2, "r10", PAIR + PROTOCOL_AT, "r7");
  writer.zeros(BACKEND, ENDPOINT_BYTES).store(2, "r10", BACKEND + PROTOCOL_AT, "r7");
  writer.lookUp("addresses", PAIR).jumpIf("r0", "==", 0, "allow");
}

/** A virtual IP that has no such service refuses. Only the connect of a UDP socket passes: it sends nothing, and
 *  getaddrinfo(3) does it to learn its own address before it sorts what it has found (RFC 6724 section 6). */
function noService(writer: ProgramWriter, call: "connect" | "sendmsg"): void {
  writer.label("no service");
  if (call === "connect") {
    writer.load(1, "r1", "r10", PAIR + PROTOCOL_AT).jumpIf("r1", "==", PROTOCOL.udp, "allow");
  }
  writer.jump("refuse");
}

/** An unconnected UDP socket goes on with the backend that it has for the service, as long as that is one. */
function keepFlow(writer: ProgramWriter): void {
  ownedBy(writer, COOKIE);
  writer.lookUp("flows", OWNED).jumpIf("r0", "==", 0, "no flow");
  writer.copy("r10", BACKEND, "r0", REMEMBERED_VALUE.endpoint, ENDPOINT_BYTES);
  writer.lookUp("members", PAIR).jumpIf("r0", "==", 0, "no flow");
  replyKey(writer);
  writer.lookUp("replies", REPLY).jumpIf("r0", "!=", 0, "rewrite");
  // Its entry had to make room for others.
  rememberReply(writer);
  writer.jump("rewrite");
  writer.label("no flow");
}

/** A client that came lately goes to where it was, as long as that is a backend with weight. */
function keepAffinity(writer: ProgramWriter): void {
  writer.load(4, "r1", "r7", SERVICE_VALUE.affinity).jumpIf("r1", "==", 0, "choose");
  ownedBy(writer, NETNS);
  writer.lookUp("affinities", OWNED).jumpIf("r0", "==", 0, "choose");
  writer.move("r8", "r0").call("ktime_get_ns").load(8, "r1", "r8", REMEMBERED_VALUE.time).compute("sub", "r0", "r1");
  writer.load(4, "r1", "r7", SERVICE_VALUE.affinity).compute("mul", "r1", NS_PER_SECOND);
  writer.jumpIf("r0", ">", "r1", "choose");
  writer.copy("r10", BACKEND, "r8", REMEMBERED_VALUE.endpoint, ENDPOINT_BYTES);
  writer.lookUp("members", PAIR).jumpIf("r0", "==", 0, "choose");
  writer.move("r8", "r0").compute("add", "r8", MEMBER_VALUE.total);
  writer.load(4, "r1", "r0", MEMBER_VALUE.weight).jumpIf("r1", "!=", 0, "chosen");
}

/** Chooses a slot: by a random number, or by one made of the client. */
function choose(writer: ProgramWriter): void {
  writer.label("choose").load(4, "r1", "r7", SERVICE_VALUE.choices).jumpIf("r1", "==", 0, "undo");
  writer.zeros(SLOT + SLOT_KEY.index, 8);
  writer.load(4, "r1", "r7", SERVICE_VALUE.scheduler).jumpIf("r1", ">=", SCHEDULER_SH, "by client");
  writer.call("get_prandom_u32").compute32("mov", "r8", "r0").jump("slot");
  writer.label("by client").load(8, "r8", "r10", NETNS).mix().compute("rsh", "r8", 32);
  writer.load(4, "r1", "r7", SERVICE_VALUE.scheduler).jumpIf("r1", "!=", SCHEDULER_MH, "slot");
  writer.lookUp("tables", SLOT).jumpIf("r0", "==", 0, "changed");
  // By multiplication, because the verifier doesn't see how far a remainder can go.
  writer.compute("mul", "r8", MH_ENTRIES).compute("rsh", "r8", 32).compute("lsh", "r8", 1).compute("add", "r0", "r8");
  writer
    .load(2, "r1", "r0", 0)
    .store(4, "r10", SLOT + SLOT_KEY.index, "r1")
    .jump("only slot");
  writer.label("slot").load(4, "r1", "r7", SERVICE_VALUE.choices).compute("mul", "r8", "r1");
  writer
    .move("r1", "r8")
    .compute("rsh", "r1", 32)
    .store(4, "r10", SLOT + SLOT_KEY.index, "r1");
  writer.lookUp("slots", SLOT).jumpIf("r0", "==", 0, "changed");
  writer.compute32("mov", "r8", "r8").load(4, "r1", "r0", SLOT_VALUE.threshold).jumpIf("r8", "<=", "r1", "found");
  writer.load(4, "r1", "r0", SLOT_VALUE.alias).store(4, "r10", SLOT + SLOT_KEY.index, "r1");
  writer.label("only slot").lookUp("slots", SLOT).jumpIf("r0", "==", 0, "changed");
  writer.label("found").copy("r10", BACKEND, "r0", SLOT_VALUE.ip, 16);
  writer.load(2, "r1", "r0", SLOT_VALUE.port).store(2, "r10", BACKEND + PORT_AT, "r1");
  writer.move("r8", "r0").compute("add", "r8", SLOT_VALUE.total);
  writer.label("chosen");
}

/** OWNED = the service with a cookie on the stack. */
function ownedBy(writer: ProgramWriter, cookie: number): void {
  writer.copy("r10", OWNED, "r10", PAIR, ENDPOINT_BYTES).zeros(OWNED + ENDPOINT_BYTES, 4);
  writer.load(8, "r1", "r10", cookie).store(8, "r10", OWNED + OWNED_KEY.cookie, "r1");
}

/** Notes the choice for the client's next connection. */
function rememberAffinity(writer: ProgramWriter): void {
  writer.load(4, "r1", "r7", SERVICE_VALUE.affinity).jumpIf("r1", "==", 0, "no affinity");
  ownedBy(writer, NETNS);
  remembered(writer, BACKEND);
  writer.call("ktime_get_ns").store(8, "r10", REMEMBERED + REMEMBERED_VALUE.time, "r0");
  writer.update("affinities", OWNED, REMEMBERED).label("no affinity");
}

/** REMEMBERED = an endpoint on the stack, without a time. */
function remembered(writer: ProgramWriter, endpoint: number): void {
  writer.copy("r10", REMEMBERED, "r10", endpoint, ENDPOINT_BYTES).zeros(REMEMBERED + ENDPOINT_BYTES, 12);
}

/** Notes the choice for what an unconnected UDP socket sends next. */
function rememberFlow(writer: ProgramWriter): void {
  ownedBy(writer, COOKIE);
  remembered(writer, BACKEND);
  writer.update("flows", OWNED, REMEMBERED);
}

/** The service, for the answers that REPLY says. */
function rememberReply(writer: ProgramWriter): void {
  remembered(writer, PAIR);
  writer.update("replies", REPLY, REMEMBERED);
}

function replyKey(writer: ProgramWriter): void {
  writer.copy("r10", REPLY, "r10", BACKEND, ENDPOINT_BYTES).zeros(REPLY + ENDPOINT_BYTES, 4);
  writer.load(8, "r1", "r10", COOKIE).store(8, "r10", REPLY + OWNED_KEY.cookie, "r1");
}

/** recvmsg: an answer of a backend seems to come from the service that it was asked as. */
function replyProgram(writer: ProgramWriter, family: Family): Uint8Array {
  writer
    .move("r6", "r1")
    .endpoint(family, REPLY)
    .store(2, "r10", REPLY + PROTOCOL_AT, PROTOCOL.udp);
  writer.zeros(REPLY + ENDPOINT_BYTES, 4).socketCookie(REPLY + OWNED_KEY.cookie);
  writer.lookUp("replies", REPLY).jumpIf("r0", "==", 0, "allow");
  writer.rewrite(family, "r0", REMEMBERED_VALUE.endpoint);
  return writer.label("allow").finishWith(ALLOW).finish();
}

/** getpeername: who connected to a service is told that it is there. The socket may have another peer by now. */
function peerProgram(writer: ProgramWriter, family: Family): Uint8Array {
  writer.move("r6", "r1").endpoint(family, PAIR).socketCookie(COOKIE);
  findConnection(writer, RECORD);
  for (let offset = 0; offset < 16; offset += 4) {
    writer.load(4, "r1", "r10", PAIR + offset).load(4, "r2", "r0", ENDPOINT_BYTES + offset);
    writer.jumpIf("r1", "!=", "r2", "allow");
  }
  writer.load(2, "r1", "r10", PAIR + PORT_AT).load(2, "r2", "r0", ENDPOINT_BYTES + PORT_AT);
  writer.jumpIf("r1", "!=", "r2", "allow").rewrite(family, "r0", CONNECTION_VALUE.pair);
  return writer.label("allow").finishWith(ALLOW).finish();
}

/** A socket is closed: it has no connection any more. */
function releaseProgram(writer: ProgramWriter): Uint8Array {
  writer.move("r6", "r1").socketCookie(COOKIE);
  forgetConnection(writer, RECORD);
  return writer.label("allow").finishWith(ALLOW).finish();
}
