import { expect } from "chai";
import * as packet from "dns-packet";
import fc from "fast-check";
import { writeQuestion } from "../../../../dns/forward/question.ts";
import { judge } from "../../../../dns/forward/validate.ts";
import { a, answerTo, soa } from "../../../support/dns-upstream.ts";

const QUESTION = { name: "www.example.org", type: 1, dnssecOk: false, checkingDisabled: false };
const sent = writeQuestion(QUESTION, true, Math.random);
const verdict = (bytes: Uint8Array, overUdp = true) => judge(bytes, sent, overUdp).verdict;
const good = answerTo(sent.message, { answers: [a("www.example.org", "192.0.2.7")] });

describe("a message from an upstream", () => {
  it("is the answer when it repeats id and question", () => {
    const judged = judge(good, sent, true);
    if (judged.verdict !== "answer") throw new Error(judged.verdict);
    expect(judged.answer).to.deep.include({ rcode: 0, answers: 1, authority: 0, additional: 0, lifetime: 300 });
  });

  it("is not ours with another id, another question, or none of both", () => {
    expect(verdict(answerTo(sent.message, { id: (sent.id + 1) & 0xffff }))).to.equal("not-ours");
    expect(verdict(answerTo(sent.message, { question: "www.example.com" }))).to.equal("not-ours");
    expect(verdict(sent.message)).to.equal("not-ours");
    expect(verdict(new Uint8Array(11))).to.equal("not-ours");
  });

  it("is fetched over TCP when it is cut, or its letters aren't those that were sent", () => {
    expect(verdict(answerTo(sent.message, { flags: packet.TRUNCATED_RESPONSE }))).to.equal("truncated");
    const lower = Uint8Array.from(good);
    const at = 12 + 1;
    lower[at] = (lower[at] ?? 0) ^ 0x20;
    expect(verdict(lower)).to.equal("truncated");
    expect(verdict(lower, false)).to.equal("answer");
  });

  it("may leave out the question when it says no", () => {
    const no = Uint8Array.of(sent.id >> 8, sent.id & 0xff, 0x80, 0x81, 0, 0, 0, 0, 0, 0, 0, 0);
    expect(verdict(no)).to.equal("answer");
    const yes = Uint8Array.from(no);
    yes[3] = 0x80;
    expect(verdict(yes)).to.equal("not-ours");
  });

  it("is garbage when its records can't be read", () => {
    expect(verdict(good.subarray(0, good.length - 1))).to.equal("garbage");
    expect(verdict(Uint8Array.from([...good, 0]))).to.equal("garbage");
    const short = Uint8Array.from(good);
    short[good.length - 5] = 3;
    expect(verdict(short.subarray(0, good.length - 1)), "an address of three bytes").to.equal("garbage");
  });

  it("is garbage when a name in it leads to what askers get otherwise", () => {
    const pointing = (to: number): Uint8Array => {
      const bytes = Uint8Array.from([...good.subarray(0, 12 + sent.question.length), 0xc0, to, ...good.subarray(-14)]);
      return bytes;
    };
    expect(verdict(pointing(12))).to.equal("answer");
    expect(verdict(pointing(16)), "the next label").to.equal("answer");
    expect(verdict(pointing(4)), "the header").to.equal("garbage");
  });

  it("is kept as long as its records, and as a negative answer as the SOA record says", () => {
    const lifetime = (options: Parameters<typeof answerTo>[1]) => {
      const judged = judge(answerTo(sent.message, options), sent, true);
      return judged.verdict === "answer" ? judged.answer.lifetime : undefined;
    };
    const cname = { type: "CNAME", name: "www.example.org", ttl: 20, data: "x.example.org" } as const;
    expect(lifetime({ answers: [a("a.b", "192.0.2.1", 60), a("a.b", "192.0.2.2", 30)] })).to.equal(30);
    expect(lifetime({ answers: [a("a.b", "192.0.2.1", 900_000)] })).to.equal(86_400);
    expect(lifetime({ answers: [a("a.b", "192.0.2.1", 2 ** 31)] })).to.equal(0);
    expect(lifetime({ rcode: "NXDOMAIN", authorities: [soa("example.org", 600, 60)] })).to.equal(60);
    expect(lifetime({ authorities: [soa("example.org", 30, 60)] })).to.equal(30);
    expect(lifetime({ authorities: [soa("example.org", 86_400, 86_400)] })).to.equal(3600);
    expect(lifetime({ answers: [cname], authorities: [soa("example.org", 600, 60)] })).to.equal(20);
    expect(lifetime({ rcode: "NXDOMAIN" })).to.equal(0);
    expect(lifetime({ rcode: "SERVFAIL", answers: [a("a.b", "192.0.2.1")] })).to.equal(0);
  });

  it("never makes the judge throw, whatever was changed in it", () => {
    const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 });
    const property = fc.property(changes, fc.nat(good.length), (changed, length) => {
      const bytes = Uint8Array.from(good);
      for (const [at, value] of changed) bytes[at] = value;
      expect(["answer", "truncated", "not-ours", "garbage"]).to.include(verdict(bytes.subarray(0, length)));
    });
    fc.assert(property, { numRuns: 2000 });
  });
});

describe("a question to an upstream", () => {
  it("has letters of either case at random, and nothing else changed", () => {
    const seen = new Set<string>();
    for (let index = 0; index < 50; index++) {
      const message = packet.decode(Buffer.from(writeQuestion(QUESTION, true, Math.random).message));
      const name = message.questions?.[0]?.name ?? "";
      expect(name.toLowerCase()).to.equal(QUESTION.name);
      seen.add(name);
    }
    expect(seen.size).to.be.greaterThan(40);
  });

  it("says what its asker can do, to those who understand", () => {
    const of = (dnssecOk: boolean, checkingDisabled: boolean, edns: boolean) =>
      packet.decode(Buffer.from(writeQuestion({ ...QUESTION, dnssecOk, checkingDisabled }, edns, Math.random).message));
    expect(of(true, true, true)).to.deep.include({ flag_cd: true, flag_rd: true });
    expect(of(true, true, true).additionals?.[0]).to.deep.include({ type: "OPT", flag_do: true, udpPayloadSize: 1232 });
    expect(of(false, false, false)).to.deep.include({ flag_cd: false, additionals: [] });
  });
});
