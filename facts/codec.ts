import { NetError } from "../lib/error.ts";
import type {
  AssignmentBody,
  AssignmentFact,
  DrainBody,
  DrainFact,
  Fact,
  NodeBody,
  NodeFact,
  NodeVoice,
  OverlayAssignment,
  OverlayRangeText,
  OverlayWish,
  StatusBody,
  StatusFact,
  TaskFact,
  VipBody,
  VipFact,
  VtepAssignment,
} from "./fact.ts";
import { vipKey } from "./fact.ts";
import { LIMIT } from "./limit.ts";
import {
  fieldOf,
  flag,
  integer,
  ipText,
  list,
  matching,
  maybe,
  object,
  oneOf,
  type Parser,
  prefixText,
  repeated,
  type Shape,
  ShapeError,
  text,
  textRecord,
  textSet,
} from "./shape.ts";
import { keyOfTask } from "./task.ts";
import { label, portNumber, taskShape } from "./task-shape.ts";

const UINT53 = Number.MAX_SAFE_INTEGER;

const nodeId = matching(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "a node id of letters, digits, '.', '_' and '-'", 253);
const overlayName = text(LIMIT.overlayName);
const mtu = integer(552, 65_535);

const nodeBody = object<NodeBody>({
  name: label,
  role: oneOf("master", "agent"),
  addresses: list(ipText, LIMIT.addresses, 1),
  wish: object<OverlayWish>({ allocateSubnet: flag, mesosBridge: flag, dockerBridge: flag }),
  versions: textRecord(label, LIMIT.versions),
  speaks: object<NodeVoice>({
    agents: textSet(label, LIMIT.agents),
    masterSince: maybe(integer(0, UINT53)),
    overlayEpoch: maybe(integer(1, UINT53)),
  }),
});

const range = (family: 4 | 6) =>
  object<OverlayRangeText>({ subnet: prefixText(family), prefix: integer(0, family === 4 ? 32 : 128) });

const overlayAssignment = object<OverlayAssignment>({
  name: overlayName,
  range: maybe(range(4)),
  range6: maybe(range(6)),
  subnet: maybe(prefixText(4)),
  subnet6: maybe(prefixText(6)),
  isolated: flag,
  enabled: flag,
  mesosBridge: flag,
  dockerBridge: flag,
  refusal: maybe(text(LIMIT.sentence)),
});

const assignmentBody = object<AssignmentBody>({
  node: nodeId,
  epoch: integer(1, UINT53),
  vtep: maybe(
    object<VtepAssignment>({
      vni: integer(1, 2 ** 24 - 1),
      port: portNumber,
      ip: prefixText(4),
      ip6: maybe(prefixText(6)),
      mac: matching(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/, "six lower case bytes such as 70:b3:d5:80:00:01", 17),
      mtu: maybe(mtu),
    }),
  ),
  overlays: overlaysByName,
  refusal: maybe(text(LIMIT.sentence)),
});

const statusBody = object<StatusBody>({
  overlay: overlayName,
  state: oneOf("configuring", "ok", "failed"),
  error: maybe(text(LIMIT.sentence)),
  containers: maybe(integer(0, UINT53)),
});

const vipName = matching(
  /^[a-z0-9-]+(\.[a-z0-9-]+)*$/,
  "lower case labels joined by dots, such as app.marathon",
  LIMIT.vipName,
);
const vipBody = object<VipBody>({ name: vipName, address: ipText, since: integer(0, UINT53) });
const drainBody = object<DrainBody>({
  target: oneOf("node", "task"),
  id: text(LIMIT.key),
  since: integer(0, UINT53),
});

const head = {
  owner: repeated(nodeId),
  key: text(LIMIT.key),
  version: integer(1, UINT53),
  observedAt: integer(0, UINT53),
};

const node = object<NodeFact>({ kind: oneOf("node"), ...head, body: nodeBody });
const assignment = object<AssignmentFact>({ kind: oneOf("assignment"), ...head, body: assignmentBody });
const status = object<StatusFact>({ kind: oneOf("status"), ...head, body: statusBody });
const task = object<TaskFact>({ kind: oneOf("task"), ...head, body: taskShape } satisfies Shape<TaskFact>);
const vip = object<VipFact>({ kind: oneOf("vip"), ...head, body: vipBody });
const drain = object<DrainFact>({ kind: oneOf("drain"), ...head, body: drainBody });
const kind = oneOf("node", "assignment", "status", "task", "vip", "drain");

const BY_KIND: Readonly<Record<Fact["kind"], Parser<Fact>>> = { node, assignment, status, task, vip, drain };

/** A fact in canonical form (fields in one order, addresses in canonical text, sets sorted) with its bytes. */
export interface Encoded {
  readonly fact: Fact;
  /** JSON (RFC 8259) in UTF-8: equal facts have equal bytes. */
  readonly bytes: Uint8Array;
}

/** The bytes of a fact. Throws a NetError `invalid` for a fact that others would refuse. */
export function encodeFact(fact: Fact): Uint8Array {
  return canonicalFact(fact).bytes;
}

/** The fact as others will read it. Throws as {@link encodeFact} does. */
export function canonicalFact(said: Fact): Encoded {
  const fact = checked(`publish the ${said.kind} fact`, said);
  const bytes = new TextEncoder().encode(JSON.stringify(fact));
  if (bytes.length > LIMIT.factBytes) throw tooLarge(`publish the ${fact.kind} fact ${short(fact.key)}`, bytes.length);
  return { fact, bytes };
}

/** The fact in bytes that another node sent. Everything is checked: types, bounds, addresses, and that the key fits the
 *  content. Fields that this version doesn't know are ignored, so that a newer node may say more. Throws a NetError
 *  `invalid` that names the place. */
export function decodeFact(bytes: Uint8Array): Fact {
  const tried = "read a fact of another node";
  if (bytes.length > LIMIT.factBytes) throw tooLarge(tried, bytes.length);
  return checked(tried, parseJson(tried, bytes));
}

function parseJson(tried: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new NetError("invalid", { tried, said: "it is not JSON in UTF-8", cause });
  }
}

function checked(tried: string, value: unknown): Fact {
  try {
    const fact = BY_KIND[kind(fieldOf(value, "kind"), "kind")](value, "");
    const fitting = fittingKey(fact);
    if (fact.key !== fitting)
      throw new ShapeError("key", `is ${short(fact.key)}, but the content belongs to ${short(fitting)}`);
    return fact;
  } catch (cause) {
    if (!(cause instanceof ShapeError)) throw cause;
    throw new NetError("invalid", { tried, said: cause.message, remedy: "run the same version on both nodes", cause });
  }
}

/** The only key that a fact with this content may have. */
function fittingKey(fact: Fact): string {
  switch (fact.kind) {
    case "node":
      return fact.owner;
    case "assignment":
      return fact.body.node;
    case "status":
      return fact.body.overlay;
    case "task":
      return keyOfTask(fact.body);
    case "vip":
      return vipKey(fact.body);
    case "drain":
      return `${fact.body.target}/${fact.body.id}`;
  }
}

function overlaysByName(value: unknown, at: string): readonly OverlayAssignment[] {
  const overlays = list(overlayAssignment, LIMIT.overlays)(value, at);
  const names = new Set(overlays.map(({ name }) => name));
  if (names.size < overlays.length) throw new ShapeError(at, "names an overlay twice");
  return [...overlays].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function tooLarge(tried: string, bytes: number): NetError {
  return new NetError("invalid", {
    tried,
    said: `it has ${bytes} bytes, more than ${LIMIT.factBytes}`,
    remedy: "give the task fewer ports and labels",
  });
}

function short(key: string): string {
  return JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}…` : key);
}
