import { expect } from "chai";
import fc from "fast-check";
import type { Kernel } from "../../kernel/kernel.ts";
import { VipKeeper } from "../../l4lb/apply.ts";
import type { Dataplane } from "../../l4lb/dataplane.ts";
import { newVipMetrics } from "../../l4lb/metric.ts";
import type { ServiceChange } from "../../l4lb/rows.ts";
import { type Service, serviceName } from "../../l4lb/service.ts";
import { NetError } from "../../lib/error.ts";
import { type Failure, failingKernel } from "./failing-kernel.ts";
import { services, sorted } from "./vip-services.ts";

/** One round of the keeper: what is wanted from now on, by the short way of news or by a whole pass. */
interface Round {
  readonly wanted: readonly Service[];
  readonly isNews: boolean;
  /** Of so many calls to the kernel in a row, those that fail. */
  readonly failures: readonly (Failure | undefined)[];
}

const failure: fc.Arbitrary<Failure> = fc.record({
  errno: fc.constantFrom("ENOBUFS", "EBUSY", "EINTR", "ENOMEM"),
  isDone: fc.boolean(),
});
const round: fc.Arbitrary<Round> = fc.record({
  wanted: services,
  isNews: fc.boolean(),
  failures: fc.array(fc.option(failure, { nil: undefined, freq: 4 }), { maxLength: 30 }),
});

/** Passes without any failure in which all must be right again: one that reads, and one that puts right what the
 *  reading has found to be there in part. */
const PASSES_MOST = 2;

/** What the property went through. */
export interface Went {
  failures: number;
  refusals: number;
  failedPasses: number;
}

/** Whatever calls fail, refused or carried out with their answer lost: the keeper counts it, goes on, and a pass or two
 *  after the last failure the kernel has what is wanted, as another data plane reads it. `open` gives an empty
 *  kernel. */
export function keepsThrough(
  open: () => { readonly kernel: Kernel; close(): void },
  planeOf: (kernel: Kernel) => Dataplane,
  numRuns: number,
): Went {
  const went: Went = { failures: 0, refusals: 0, failedPasses: 0 };
  fc.assert(
    fc.property(fc.array(round, { minLength: 1, maxLength: 5 }), (rounds) => {
      const { kernel, close } = open();
      try {
        tryOut(kernel, planeOf, rounds, went);
      } finally {
        close();
      }
    }),
    { numRuns },
  );
  return went;
}

function tryOut(kernel: Kernel, planeOf: (kernel: Kernel) => Dataplane, rounds: readonly Round[], went: Went): void {
  const queue: (Failure | undefined)[] = [];
  const decide = () => {
    const next = queue.shift();
    if (next !== undefined) went.failures += 1;
    return next;
  };
  const metrics = newVipMetrics();
  const dataplane = planeOf(failingKernel(kernel, decide));
  const keeper = new VipKeeper({ dataplane, metrics, monotonic: () => 0 });
  const seen = { refusals: 0, failedPasses: 0 };
  let before = new Map<string, Service>();
  for (const { wanted, isNews, failures } of rounds) {
    queue.splice(0, queue.length, ...failures);
    const after = byName(wanted);
    try {
      const news = isNews && keeper.isTakenOver;
      const refused = news ? keeper.change(changes(before, after), true) : keeper.reconcile(after, true).refused;
      seen.refusals += refused.length;
      if (!news && refused.length > 0) seen.failedPasses += 1;
      for (const { service, error } of refused) {
        expect(error, service).to.be.instanceOf(NetError);
        expect(keeper.refusals().get(service), service).to.equal(error);
      }
    } catch (error) {
      expect(error).to.be.instanceOf(NetError);
      seen.failedPasses += 1;
    }
    before = after;
  }
  expect({ refusals: metrics.refusals, failedPasses: metrics.failedPasses }).to.deep.equal(seen);
  queue.splice(0);
  for (let pass = 1; keeper.reconcile(before, true).refused.length > 0; pass++) expect(pass).to.be.below(PASSES_MOST);
  const other = planeOf(kernel);
  expect(other.prepare().made).to.deep.equal([]);
  expect(sorted(other.read())).to.deep.equal(sorted([...before.values()]));
  expect([keeper.refusals().size, metrics.pending]).to.deep.equal([0, 0]);
  other.close();
  dataplane.close();
  went.refusals += seen.refusals;
  went.failedPasses += seen.failedPasses;
}

function byName(all: readonly Service[]): Map<string, Service> {
  return new Map(all.map((service) => [serviceName(service), service]));
}

function changes(
  before: ReadonlyMap<string, Service>,
  after: ReadonlyMap<string, Service>,
): Map<string, ServiceChange> {
  const names = new Set([...before.keys(), ...after.keys()]);
  return new Map([...names].map((name) => [name, { before: before.get(name), after: after.get(name) }]));
}
