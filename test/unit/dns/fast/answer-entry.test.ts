import { expect } from "chai";
import fc from "fast-check";
import { Responder } from "../../../../dns/fast/responder.ts";
import { SharedTable } from "../../../../dns/fast/table.ts";
import { type Answer, relay } from "../../../../dns/forward/answer.ts";
import { type Question, questionOf, writeQuestion } from "../../../../dns/forward/question.ts";
import { judge } from "../../../../dns/forward/validate.ts";
import { decodeQuery } from "../../../../dns/message.ts";
import { limitOf } from "../../../../dns/respond.ts";
import { decoded, queryBytes } from "../../../support/dns.ts";
import { a, answerTo, soa } from "../../../support/dns-upstream.ts";

const BORN = 1000;

function answerFor(question: Question, options: Parameters<typeof answerTo>[1]): Answer {
  const sent = writeQuestion(question, true, Math.random);
  const judged = judge(answerTo(sent.message, options), sent, false);
  if (judged.verdict !== "answer") throw new Error(judged.verdict);
  return judged.answer;
}

interface Flags {
  readonly cd: boolean;
  readonly ad: boolean;
  readonly upper: boolean;
  readonly dnssecOk: boolean;
}

function messageWith(asked: string, edns: number | undefined, { cd, ad, upper, dnssecOk }: Flags): Uint8Array {
  const message = queryBytes(upper ? asked.toUpperCase() : asked, "A", 0xbeef, edns);
  message[3] = (message[3] ?? 0) | (cd ? 0x10 : 0) | (ad ? 0x20 : 0);
  if (edns !== undefined && dnssecOk) message[message.length - 4] = 0x80;
  return message;
}

const name = fc.constantFrom("www.example.org", "a.b", "x.y.z.example.org");
const answers = fc.oneof(
  fc.array(fc.tuple(name, fc.integer({ min: 1, max: 900 })), { maxLength: 90 }).map((records) => ({
    answers: records.map(([owner, ttl], index) => a(owner, `192.0.2.${index}`, ttl)),
  })),
  fc.constantFrom("NXDOMAIN", "NOERROR").map((rcode) => ({ rcode, authorities: [soa("example.org", 600, 60)] })),
);

describe("a kept answer", () => {
  it("is given by workers byte for byte as by the main thread, or left to it", () => {
    let given = 0;
    const property = fc.property(
      name,
      answers,
      fc.option(fc.integer({ min: 512, max: 2000 }), { nil: undefined }),
      fc.record({ cd: fc.boolean(), ad: fc.boolean(), upper: fc.boolean(), dnssecOk: fc.boolean() }),
      fc.integer({ min: -1, max: 700 }),
      (asked, options, edns, flags, age) => {
        const message = messageWith(asked, edns, flags);
        const read = decodeQuery(message);
        if (read.outcome !== "query") throw new Error(read.outcome);
        const question = questionOf(read.query);
        const answer = answerFor(question, options);
        const table = new SharedTable(1 << 16);
        table.putAnswer(question, answer, BORN);
        table.setSeconds(BORN + age);
        const output = new Uint8Array(2048);
        const length = new Responder(table.memory, true).respond(message, 0, message.length, output, 0);
        const expired = Math.max(0, age) >= answer.lifetime;
        if (expired) expect(length).to.equal(0);
        const whole = relay(read.query, answer, { limit: limitOf(read.query, "udp"), ageSeconds: Math.max(0, age) });
        decoded(whole);
        if (length === 0) return;
        given++;
        expect(output.slice(0, length)).to.deep.equal(whole);
        expect(table.takeUses(question)).to.equal(1);
        expect(table.takeUses(question)).to.equal(0);
      },
    );
    fc.assert(property, { numRuns: 400 });
    expect(given).to.be.greaterThan(50);
  });

  it("is for its own question alone, and for those who desire recursion", () => {
    const table = new SharedTable(1 << 16);
    const question = { name: "www.example.org", type: 1, dnssecOk: false, checkingDisabled: false };
    table.putAnswer(question, answerFor(question, { answers: [a("www.example.org", "192.0.2.1")] }), 0);
    const output = new Uint8Array(2048);
    const given = (message: Uint8Array, recursion = true): boolean =>
      new Responder(table.memory, recursion).respond(message, 0, message.length, output, 0) > 0;
    const good = queryBytes("www.example.org", "A");
    expect(given(good)).to.equal(true);
    expect(given(good, false), "a server that doesn't forward").to.equal(false);
    expect(given(queryBytes("www.example.org", "AAAA"))).to.equal(false);
    expect(given(queryBytes("example.org", "A"))).to.equal(false);
    const undesired = Uint8Array.from(good);
    undesired[2] = 0;
    expect(given(undesired)).to.equal(false);
    table.removeAnswer(question);
    expect(given(good)).to.equal(false);
  });

  it("takes no memory when it is gone", () => {
    const table = new SharedTable(1 << 20);
    const question = (index: number) => ({
      name: `${index}.example.org`,
      type: 1,
      dnssecOk: false,
      checkingDisabled: false,
    });
    const answer = answerFor(question(0), { answers: [a("x.example.org", "192.0.2.1")] });
    for (let index = 0; index < 20_000; index++) {
      table.putAnswer(question(index), answer, 0);
      if (index >= 100) table.removeAnswer(question(index - 100));
    }
    expect(table.bytesUsed).to.be.lessThan(400_000);
  });
});
