import type { NodeView } from "../facts/view.ts";
import type { TraceHop } from "./trace.ts";

/** Zone of named virtual IPs in DNS, with the dot before it. */
export const ZONE = ".l4lb.thisdcos.directory";

/** A node by the name that people know, or by its id. */
export function nodeText(id: string, nodeOf: (id: string) => NodeView | undefined): string {
  const node = nodeOf(id);
  return node === undefined ? `node ${id}` : `node ${node.fact.body.name}`;
}

/** The first of many, and how many more there are. */
export function listed(texts: readonly string[]): string {
  const shown = texts.slice(0, 8).join(", ");
  return texts.length > 8 ? `${shown} and ${texts.length - 8} more` : shown;
}

/** `12 s`, `3 min`, `5 h`. */
export function ageText(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function pass(hop: TraceHop["hop"], text: string): TraceHop {
  return { hop, ok: true, text };
}

export function fail(hop: TraceHop["hop"], text: string): TraceHop {
  return { hop, ok: false, text };
}
