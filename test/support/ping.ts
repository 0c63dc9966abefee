import { expect } from "chai";

/** Expects of the output of a ping that ended by itself that every request was answered. */
export function expectNoLoss(output: string): void {
  expect(sentBy(output), output).to.be.at.least(1);
  expect(output).to.include(" 0% packet loss");
}

/** Expects of the output of a ping that was ended by SIGINT that every request was answered but perhaps the last, whose
 *  answer may have been on its way when the signal came. */
export function expectNoLossTillSignal(output: string): void {
  const sent = sentBy(output);
  expect(sent, output).to.be.at.least(2);
  const answered = new Set([...output.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, number]) => Number(number)));
  const unanswered = Array.from({ length: sent - 1 }, (_, index) => index + 1).filter((each) => !answered.has(each));
  expect(unanswered, `not answered, of ${sent}`).to.deep.equal([]);
}

function sentBy(output: string): number {
  return Number(/^(\d+) packets transmitted/m.exec(output)?.[1]);
}
