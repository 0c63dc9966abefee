import { ipBytes, ipFromBytes, type Prefix } from "../lib/address.ts";
import { AF } from "./address.ts";
import { MessageWriter, readAttributes, readU8, readU32 } from "./attribute.ts";
import type { Rule } from "./kernel.ts";
import { type Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST } from "./netlink.ts";

/** Constants of linux/rtnetlink.h and linux/fib_rules.h. */
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
const FR_ACT_TO_TBL = 1;
const FIB_RULE_HEADER_LENGTH = 12;

/** `ip rule add` (exclusive), `ip rule delete`. */
export function ruleMessage(verb: "add" | "delete", { family, from, to, table, priority }: Rule): Uint8Array {
  const writer = new MessageWriter(
    verb === "add" ? RTM_NEWRULE : RTM_DELRULE,
    NLM_F_REQUEST | (verb === "add" ? NLM_F_CREATE | NLM_F_EXCL : 0),
  );
  writer
    .u8(AF[family])
    .u8(to?.length ?? 0)
    .u8(from?.length ?? 0)
    .u8(0)
    .u8(table < 256 ? table : 0)
    .u8(0)
    .u8(0)
    .u8(FR_ACT_TO_TBL)
    .u32(0);
  if (to !== undefined) writer.attribute(FRA_DST, ipBytes(to.ip));
  if (from !== undefined) writer.attribute(FRA_SRC, ipBytes(from.ip));
  if (priority !== undefined) writer.attributeU32(FRA_PRIORITY, priority);
  if (table >= 256) writer.attributeU32(FRA_TABLE, table);
  return writer.finish();
}

/** `ip rule show`, a dump of one family. */
export function ruleDump(family: 4 | 6): Uint8Array {
  const writer = new MessageWriter(RTM_GETRULE, NLM_F_REQUEST);
  return writer.u8(AF[family]).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0).u32(0).finish();
}

/** A rule that leads to a table, out of an RTM_NEWRULE message; undefined for other actions. */
export function decodeRule({ payload }: Message): Rule | undefined {
  const family = readU8(payload, 0) === AF[4] ? 4 : 6;
  if (readU8(payload, 7) !== FR_ACT_TO_TBL) return undefined;
  const attributes = readAttributes(payload, FIB_RULE_HEADER_LENGTH);
  const to = prefixOf(attributes.get(FRA_DST), readU8(payload, 1));
  const from = prefixOf(attributes.get(FRA_SRC), readU8(payload, 2));
  const table = attributes.get(FRA_TABLE);
  const priority = attributes.get(FRA_PRIORITY);
  return {
    family,
    table: table === undefined ? readU8(payload, 4) : readU32(table),
    priority: priority === undefined ? 0 : readU32(priority),
    ...(to === undefined ? {} : { to }),
    ...(from === undefined ? {} : { from }),
  };
}

function prefixOf(bytes: Uint8Array | undefined, length: number): Prefix | undefined {
  return bytes === undefined ? undefined : { ip: ipFromBytes(bytes), length };
}
