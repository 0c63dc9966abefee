import { readFileSync } from "node:fs";
import { expect } from "chai";
import { encodeOperation } from "../../../kernel/encode.ts";
import { fromHex, toHex } from "../../../lib/bytes.ts";
import { attributeLines } from "../../golden/attributes.ts";
import { CASES, type GoldenCase, type Recordings } from "../../golden/cases.ts";

const FILE = new URL("../../golden/iproute2.json", import.meta.url);
const HEADER = 16;
const NLM_F_REQUEST_ACK = 0x5;
const LINK = 16;
const VETH_PEER = "18/2/1";

/** Length of the fixed part behind nlmsghdr, by rtnetlink noun: ifinfomsg, ifaddrmsg, rtmsg, ndmsg, fib_rule_hdr. */
const FIXED: Readonly<Record<number, number>> = { 16: 16, 20: 8, 24: 12, 28: 12, 32: 12 };

/** Attributes that hold attributes, by noun and path of attribute numbers: IFLA_LINKINFO with its data, IFLA_AF_SPEC,
 *  RTA_METRICS. */
const NESTED: Readonly<Record<number, readonly string[]>> = {
  16: ["18", "18/2", VETH_PEER, "18/5", "26"],
  24: ["8"],
};

/** What a message says, in an order of its own: one line for the header, one for each attribute. */
function linesOf(message: Uint8Array): string[] {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  expect(view.getUint32(0, true), "the length in the header").to.equal(message.length);
  const type = view.getUint16(4, true);
  const noun = type - (type % 4);
  const flags = view.getUint16(6, true) & ~NLM_F_REQUEST_ACK;
  const fixed = HEADER + (FIXED[noun] ?? 0);
  const head = `type ${type} flags 0x${flags.toString(16)} ${toHex(message.subarray(HEADER, fixed))}`;
  const say = (path: string, payload: Uint8Array) => payloadLines(noun, path, payload);
  return [head, ...attributeLines("", message.subarray(fixed), say).sort()];
}

function payloadLines(noun: number, path: string, payload: Uint8Array): string[] {
  if (!NESTED[noun]?.includes(path)) return [`${path} = ${toHex(payload)}`];
  // The peer of a veth pair comes with a header of its own; the same number means a VXLAN identifier of four bytes.
  if (path === VETH_PEER && payload.length === 4) return [`${path} = ${toHex(payload)}`];
  const start = path === VETH_PEER ? (FIXED[LINK] ?? 0) : 0;
  const head = start === 0 ? [] : [`${path} = ${toHex(payload.subarray(0, start))} …`];
  const say = (inner: string, content: Uint8Array) => payloadLines(noun, inner, content);
  return [...head, ...attributeLines(`${path}/`, payload.subarray(start), say)];
}

/** Lines that only one side is meant to have. */
interface Difference {
  readonly reason: string;
  readonly command: RegExp;
  readonly ours?: RegExp;
  readonly theirs?: RegExp;
}

const INTENDED: readonly Difference[] = [
  {
    reason: "the name of the kind ends in a zero, as the kernel's own messages have it",
    command: /^ip link add/,
    ours: /^18\/1 = (\w\w)+00$/,
    theirs: /^18\/1 = \w+$/,
  },
  {
    reason: "descriptors of a namespace have other numbers in other processes",
    command: /NETNS/,
    ours: /^(18\/2\/1\/)?28 = 63000000$/,
    theirs: /^(18\/2\/1\/)?28 = \w{8}$/,
  },
  {
    reason: "a link is deleted by its name, which saves asking for its number",
    command: /^ip link delete/,
    ours: /^3 = 763000$|^type 17 flags 0x0 0{32}$/,
    theirs: /^type 17 flags 0x0 00000000040000000{16}/,
  },
  {
    reason: "the kernel wants the kind of port in IFLA_INFO_SLAVE_KIND; it ignores the tool's made-up link kind",
    command: /bridge_slave/,
    ours: /^18\/4 = 62726964676500$/,
    theirs: /^18\/1 = 6272696467655f736c617665$/,
  },
  {
    reason: "flags go in IFA_FLAGS, which has room for all of them, instead of the header's one byte",
    command: /nodad/,
    ours: /^type 20 flags 0x600 0a40000003000000$|^8 = 02000000$/,
    theirs: /^type 20 flags 0x600 0a40020003000000$/,
  },
  {
    reason: "only unicast routes are ours to delete, so the type is given",
    command: /^ip (-6 )?route delete/,
    ours: /^type 25 flags 0x0 \w{8}fe00ff0100000000$/,
    theirs: /^type 25 flags 0x0 \w{8}fe00(ff|00)0000000000$/,
  },
  {
    reason: "a default route needs no destination: its length of zero says it",
    command: /replace default via fe80::1/,
    theirs: /^1 = 0{32}$/,
  },
  {
    reason: "only rules that lead to a table are ours to delete, so the action is given",
    command: /^ip rule delete/,
    ours: /^type 33 flags 0x0 020008002a00000100000000$/,
    theirs: /^type 33 flags 0x0 020008002a00000000000000$/,
  },
  {
    reason: "the kernel doesn't look at the state of a neighbour that it is to forget",
    command: /^ip neighbor delete/,
    ours: /^type 29 flags 0x0 0200000005000000000000/,
    theirs: /^type 29 flags 0x0 0200000005000000800000/,
  },
];

/** Lines of `lines` that are neither in `others` nor meant to be there. */
function unexplained(
  command: string,
  lines: readonly string[],
  others: readonly string[],
  side: "ours" | "theirs",
): string[] {
  const explained = INTENDED.filter((difference) => difference.command.test(command));
  return lines.filter((line) => !others.includes(line) && !explained.some((each) => each[side]?.test(line) === true));
}

describe("messages for the kernel, beside those of iproute2", () => {
  const { recordings, links }: Recordings = JSON.parse(readFileSync(FILE, "utf8"));
  const resolve = (dev: string) => {
    const index = links[dev];
    if (index === undefined) throw new Error(`${dev} is not in the recorded namespace`);
    return { index, bridge: dev === "br0" };
  };

  const bothSides = ({ command, operation }: GoldenCase) => {
    const recorded = recordings.find((recording) => recording.command === command);
    if (recorded === undefined) throw new Error(`${command} isn't recorded: run test/golden/record.ts`);
    return { ours: linesOf(encodeOperation(operation, resolve)), theirs: linesOf(fromHex(recorded.hex)) };
  };

  for (const each of CASES) {
    it(each.command, () => {
      const { ours, theirs } = bothSides(each);
      expect({
        ours: unexplained(each.command, ours, theirs, "ours"),
        theirs: unexplained(each.command, theirs, ours, "theirs"),
      }).to.deep.equal({ ours: [], theirs: [] });
    });
  }

  it("every intended difference is there", () => {
    for (const { reason, command, ours, theirs } of INTENDED) {
      const found = CASES.filter((each) => command.test(each.command)).some((each) => {
        const lines = bothSides(each);
        const only = (side: readonly string[], other: readonly string[]) =>
          side.filter((line) => !other.includes(line));
        const ourLine = ours === undefined || only(lines.ours, lines.theirs).some((line) => ours.test(line));
        return ourLine && (theirs === undefined || only(lines.theirs, lines.ours).some((line) => theirs.test(line)));
      });
      expect(found, reason).to.equal(true);
    }
  });

  it("every recording has its case", () => {
    expect(recordings.map(({ command }) => command)).to.have.members(CASES.map(({ command }) => command));
  });

  it("every operation has a case", () => {
    const verbs = [
      ...["link.add", "link.set", "link.delete", "port.set", "vlan.add", "vlan.delete"],
      ...["address.add", "address.replace", "address.delete"],
      ...["route.add", "route.append", "route.replace", "route.delete", "rule.add", "rule.delete"],
      ...["neighbor.add", "neighbor.replace", "neighbor.delete", "fdb.add", "fdb.replace", "fdb.delete"],
    ];
    expect([...new Set(CASES.map(({ operation }) => operation.do))]).to.have.members(verbs);
  });
});
