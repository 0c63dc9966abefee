import type { Conntrack } from "./conntrack.ts";

/** Placeholder until the engineer of this file writes it. */
export function openConntrack(_enter: <T>(action: () => T) => T): Conntrack {
  throw new Error("being written");
}
