import type { Histogram } from "../../lib/histogram.ts";
import type { ApiState } from "./state.ts";
import type { Traffic } from "./traffic.ts";

/** One measurement of a metric, with a value for each of its labels. */
export interface Sample {
  /** What follows the metric's name, of a histogram's samples: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What metrics are read from. */
export interface MetricSources {
  readonly state: ApiState;
  readonly traffic: Traffic;
}

/** A metric of the page. Values of labels come from lists of our own or from the configuration, never from requests,
 *  tasks or addresses, so that there can't be too many. */
export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Called whenever the page is asked for. */
  readonly read: (sources: MetricSources) => Iterable<Sample>;
}

/** A gauge without labels. */
export function gauge(name: string, help: string, value: (sources: MetricSources) => number): Metric {
  return { name, type: "gauge", help, labels: [], read: (sources) => [{ labels: {}, value: value(sources) }] };
}

/** A counter without labels: a total since the start that is kept elsewhere. */
export function counter(name: string, help: string, value: (sources: MetricSources) => number): Metric {
  return { ...gauge(name, help, value), type: "counter" };
}

/** A metric with one label, from pairs of the label's value and the number. */
export function labelled(
  type: Metric["type"],
  name: string,
  label: string,
  help: string,
  values: (sources: MetricSources) => Iterable<readonly [string, number]>,
): Metric {
  return {
    name,
    type,
    help,
    labels: [label],
    *read(sources) {
      for (const [of, value] of values(sources)) yield { labels: { [label]: of }, value };
    },
  };
}

/** A histogram with one label, from pairs of the label's value and the durations in seconds. */
export function histogram(
  name: string,
  label: string,
  help: string,
  values: (sources: MetricSources) => Iterable<readonly [string, Histogram]>,
): Metric {
  return {
    name,
    type: "histogram",
    help,
    labels: [label],
    *read(sources) {
      for (const [of, { bounds, sum, cumulative }] of values(sources)) {
        for (const [index, value] of cumulative.entries()) {
          const le = index < bounds.length ? String(bounds[index]) : "+Inf";
          yield { suffix: "_bucket", labels: { le, [label]: of }, value };
        }
        yield { suffix: "_sum", labels: { [label]: of }, value: sum };
        yield { suffix: "_count", labels: { [label]: of }, value: cumulative.at(-1) ?? 0 };
      }
    },
  };
}

/** How many of `items` there are of each of `kinds`, those of which there are none included: a series that comes and
 *  goes is hard to alert on. */
export function countBy<Kind extends string>(kinds: readonly Kind[], items: Iterable<Kind>): Map<Kind, number> {
  const counts = new Map(kinds.map((kind) => [kind, 0]));
  for (const kind of items) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
