import type { VipStatus } from "../status-file.ts";
import type { RunningVips } from "./start.ts";

const PROBLEMS_SHOWN = 20;

/** The virtual IPs as the status shows them. */
export function vipStatusOf(running: RunningVips): VipStatus {
  const vips = running.current();
  const failure = running.problem();
  const { changes, repairs } = vips?.metrics ?? { changes: 0, repairs: 0 };
  const chosen = vips?.chosen;
  return {
    ...(chosen === undefined ? {} : { dataplane: { kind: chosen.dataplane.kind, reason: chosen.reason } }),
    ...(failure === undefined ? {} : { failure }),
    services: vips?.table.rows.size ?? 0,
    problems: vips === undefined ? [] : [...vips.table.problems().take(PROBLEMS_SHOWN)],
    changes,
    repairs,
    repaired: (vips?.repairs ?? []).map(({ at, objects }) => ({ at: new Date(at).toISOString(), objects })),
  };
}
