import { readFileSync } from "node:fs";
import { expect } from "chai";
import { decodeIpvsDestination, decodeIpvsService, ipvsMessage } from "../../../kernel/ipvs-message.ts";
import { decodeMessages } from "../../../kernel/netlink.ts";
import { fromHex, toHex } from "../../../lib/bytes.ts";
import { attributeLines } from "../../golden/attributes.ts";
import { IPVS_CASES, type IpvsRecordings } from "../../golden/ipvs-cases.ts";
import { textOf } from "../../kernel/fixture.ts";

const FILE = new URL("../../golden/ipvsadm.json", import.meta.url);
const HEADERS = 20;
const NLM_F_REQUEST_ACK = 0x5;

/** The service and the destination. */
const NESTED = new Set(["1", "2"]);

/** What a message says, in an order of its own. The number of the family is the kernel's choice. */
function linesOf(message: Uint8Array): string[] {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  expect(view.getUint32(0, true), "the length in the header").to.equal(message.length);
  const flags = view.getUint16(6, true) & ~NLM_F_REQUEST_ACK;
  const head = `command ${message[16]} version ${message[17]} flags ${flags}`;
  return [head, ...attributeLines("", message.subarray(HEADERS), payloadLines).sort()];
}

function payloadLines(path: string, payload: Uint8Array): string[] {
  return NESTED.has(path) ? attributeLines(`${path}/`, payload, payloadLines) : [`${path} = ${toHex(payload)}`];
}

/** What only the tool says, and why we don't. */
const LEFT_OUT: readonly { readonly reason: string; readonly command: RegExp; readonly theirs: RegExp }[] = [
  {
    reason: "a service that is only named needs no settings",
    command: /^-[Dade]/,
    theirs: /^1\/[6789] = /,
  },
  {
    reason: "the kind of a tunnel is IP in IP, the kernel's default",
    command: /^-[ade]/,
    theirs: /^2\/1[345] = 0+$/,
  },
  {
    reason: "a destination is deleted by its address and port",
    command: /^-d/,
    theirs: /^2\/[3456] = /,
  },
];

describe("IPVS messages, beside those of ipvsadm", () => {
  const { recordings, replies }: IpvsRecordings = JSON.parse(readFileSync(FILE, "utf8"));

  for (const { command, operation } of IPVS_CASES) {
    it(`ipvsadm ${command}`, () => {
      const recorded = recordings.find((each) => each.command === command);
      if (recorded === undefined) throw new Error("it isn't recorded: run test/golden/record-ipvs.ts");
      const theirs = linesOf(fromHex(recorded.hex));
      const leftOut = LEFT_OUT.filter((each) => each.command.test(command));
      for (const each of leftOut)
        expect(
          theirs.some((line) => each.theirs.test(line)),
          each.reason,
        ).to.equal(true);
      const meant = theirs.filter((line) => !leftOut.some((each) => each.theirs.test(line)));
      expect(linesOf(ipvsMessage(28, operation))).to.deep.equal(meant);
    });
  }

  it("what the kernel lists is read", () => {
    const messages = replies.flatMap((hex) => decodeMessages(fromHex(hex)));
    const services = messages.filter(({ payload }) => payload[0] === 1).map(decodeIpvsService);
    expect(services.map(({ counters: _, ...service }) => textOf(service)).sort()).to.deep.equal([
      "family 4 mark 7 onePacket false persistence 0 scheduler rr schedulerFlags 0",
      "ip 11.0.0.1 onePacket false persistence 300 port 80 protocol 6 scheduler wlc schedulerFlags 0",
      "ip fd01:c::1 onePacket true persistence 0 port 53 protocol 17 scheduler sh schedulerFlags 4",
    ]);
    const ends = messages.filter(({ payload }) => payload[0] === 5).map((message) => decodeIpvsDestination(message, 4));
    expect(
      ends.map(({ ip, port, forwarding, weight }) => textOf({ ip, port, forwarding, weight })).sort(),
    ).to.deep.equal([
      "forwarding masquerade ip 9.0.1.5 port 8080 weight 3",
      "forwarding masquerade ip 9.0.1.6 port 8080 weight 0",
      "forwarding masquerade ip fd01:b::5 port 53 weight 1",
    ]);
  });

  it("every recording has its case, and every operation has one", () => {
    expect(recordings.map(({ command }) => command)).to.have.members(IPVS_CASES.map(({ command }) => command));
    const verbs = ["service", "destination"].flatMap((noun) =>
      ["add", "set", "delete"].map((verb) => `${noun}.${verb}`),
    );
    const covered = new Set(IPVS_CASES.map(({ operation }) => operation.do as string));
    expect([...covered]).to.have.members(verbs);
  });
});
