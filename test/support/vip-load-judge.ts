import { expect } from "chai";
import type { Connect, LoadReport } from "./vip-load-protocol.ts";

/** When a backend died, and by when nothing went to it any more, by the wall clock in milliseconds: what was under way
 *  at its death, or comes until the other moment, may be lost with it. */
export interface Death {
  readonly at: number;
  readonly until: number;
}

/** For which a connection may have been under way on a busy machine, milliseconds. */
const UNDER_WAY_MS = 250;

/** Connections, and datagrams, of a load at least, so that it says something. */
const LOAD_LEAST = 100;

/** Expects that every connection and every datagram was answered, but for those that a death excuses. */
export function expectServed({ connects, datagrams }: LoadReport, deaths: readonly Death[]): void {
  const isExcused = ({ at }: Pick<Connect, "at">) =>
    deaths.some((death) => at >= death.at - UNDER_WAY_MS && at <= death.until);
  const failed = connects.filter((each) => each.failure !== undefined && !isExcused(each));
  expect(failed, `failed, of ${connects.length} connections`).to.deep.equal([]);
  const lost = datagrams.filter((each) => each.server === undefined && !isExcused(each));
  expect(lost, `not answered, of ${datagrams.length} datagrams`).to.deep.equal([]);
  expect(connects.length, "connections").to.be.at.least(LOAD_LEAST);
  expect(datagrams.length, "datagrams").to.be.at.least(LOAD_LEAST);
}
