import { expect } from "chai";
import type { LoadReport } from "./vip-load-protocol.ts";

/** When a backend died, by the wall clock in milliseconds: what was under way then, or comes until all nodes know of
 *  it, may be lost with it. */
export interface Death {
  readonly at: number;
}

/** Connections, and datagrams, of a load at least, so that it says something. */
const LOAD_LEAST = 100;

/** Expects that every connection and every datagram was answered, but for `leaveMs` after a death. `everyMs`: time
 *  between two of them. */
export function expectServed(
  { connects, datagrams }: LoadReport,
  deaths: readonly Death[],
  everyMs: number,
  leaveMs: number,
): void {
  const isExcused = ({ at }: Death) => deaths.some((death) => at >= death.at - everyMs && at <= death.at + leaveMs);
  const failed = connects.filter((each) => each.failure !== undefined && !isExcused(each));
  expect(failed, `failed, of ${connects.length} connections`).to.deep.equal([]);
  const lost = datagrams.filter((each) => each.server === undefined && !isExcused(each));
  expect(lost, `not answered, of ${datagrams.length} datagrams`).to.deep.equal([]);
  expect(connects.length, "connections").to.be.at.least(LOAD_LEAST);
  expect(datagrams.length, "datagrams").to.be.at.least(LOAD_LEAST);
}
