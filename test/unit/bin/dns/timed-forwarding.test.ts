import { expect } from "chai";
import { TimedForwarding } from "../../../../bin/dns/timed-forwarding.ts";
import { RCODE, TYPE } from "../../../../dns/codes.ts";
import type { Endpoint } from "../../../../dns/endpoint.ts";
import type { Forwarding } from "../../../../dns/forward/forwarder.ts";
import { emptyReply, type Reply } from "../../../../dns/reply.ts";
import { parseIp } from "../../../../lib/address.ts";
import { fakeClock } from "../../../support/fake-clock.ts";

const UPSTREAM: Endpoint = { ip: parseIp("10.0.0.53"), port: 53 };

function timed() {
  const clock = fakeClock();
  let reply: Uint8Array | Reply = emptyReply(RCODE.NOERROR);
  const inner: Forwarding = {
    async forward() {
      await clock.advance(20);
      return reply;
    },
    publishTo() {},
  };
  const forwarding = new TimedForwarding(inner, clock);
  forwarding.setZones([
    { zone: "", upstreams: [UPSTREAM] },
    { zone: "corp.example", upstreams: [UPSTREAM] },
  ]);
  const ask = (name: string, answer: Uint8Array | Reply) => {
    reply = answer;
    const query = { id: 1, flags: 0, name, type: TYPE.A, question: new Uint8Array(0), edns: undefined };
    return forwarding.forward(query, "udp");
  };
  const seen = (zone: string) => {
    const times = forwarding.times().get(zone);
    return [times?.durations.cumulative.at(-1), times?.failures];
  };
  return { forwarding, ask, seen };
}

describe("the time that forwarding takes", () => {
  it("is counted by the longest zone, with what the asker got in vain", async () => {
    const { forwarding, ask, seen } = timed();
    await ask("www.example.org", emptyReply(RCODE.NOERROR));
    await ask("a.corp.example", emptyReply(RCODE.SERVFAIL));
    await ask("b.corp.example", Uint8Array.of(0, 1, 0x81, 0x80 | RCODE.SERVFAIL));
    await ask("c.corp.example", Uint8Array.of(0, 1, 0x81, 0x80 | RCODE.NXDOMAIN));
    expect(seen("")).to.deep.equal([1, 0]);
    expect(seen("corp.example")).to.deep.equal([3, 2]);
    expect(forwarding.times().get("")?.durations.sum).to.be.closeTo(0.02, 1e-9);
  });

  it("keeps what it counted when zones change", async () => {
    const { forwarding, ask, seen } = timed();
    await ask("a.corp.example", emptyReply(RCODE.NOERROR));
    forwarding.setZones([{ zone: "", upstreams: [UPSTREAM] }]);
    await ask("a.corp.example", emptyReply(RCODE.NOERROR));
    expect([seen("corp.example"), seen("")]).to.deep.equal([
      [1, 0],
      [1, 0],
    ]);
  });
});
