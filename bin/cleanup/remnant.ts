import { messageOf } from "../../lib/error.ts";

/** Something of ours that is on this host. Finding it has changed nothing. */
export interface Remnant {
  /** Named for people: `link vtep1024`. */
  readonly what: string;
  /** Who still needs it, in words; it stays then unless forced. Absent when nobody does. */
  readonly inUse?: string;
  /** Takes it away. Throws when that can't be done. */
  readonly remove: () => void | Promise<void>;
}

/** What became of one remnant. */
export interface CleanupStep {
  readonly what: string;
  readonly did: "found" | "removed" | "left" | "failed";
  /** Why it was left, would be left, or couldn't be removed. */
  readonly reason?: string;
}

export interface CleanupOptions {
  /** Only tell what there is. */
  readonly dryRun: boolean;
  /** Remove what is still in use, too. */
  readonly force: boolean;
}

/** Removes the remnants in their order; one that fails keeps none of the others from being removed. */
export async function cleanUp(remnants: readonly Remnant[], options: CleanupOptions): Promise<CleanupStep[]> {
  const steps: CleanupStep[] = [];
  for (const remnant of remnants) steps.push(await stepFor(remnant, options));
  return steps;
}

async function stepFor({ what, inUse, remove }: Remnant, { dryRun, force }: CleanupOptions): Promise<CleanupStep> {
  const reason = force || inUse === undefined ? {} : { reason: inUse };
  if (dryRun) return { what, did: "found", ...reason };
  if (reason.reason !== undefined) return { what, did: "left", ...reason };
  try {
    await remove();
    return { what, did: "removed" };
  } catch (error) {
    return { what, did: "failed", reason: messageOf(error) };
  }
}

/** True when nothing of ours is left on the host. */
export function isClean(steps: readonly CleanupStep[]): boolean {
  return steps.every(({ did }) => did === "removed");
}

/** The steps as lines for people. */
export function stepLines(steps: readonly CleanupStep[]): string[] {
  if (steps.length === 0) return ["nothing of ours is there"];
  return steps.map(({ what, did, reason }) => `${did}: ${what}${reason === undefined ? "" : ` (${reason})`}`);
}
