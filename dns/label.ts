import { labelCharacters, labelledParts } from "../lib/dcos-label.ts";

/** How Mesos-DNS makes labels: `rfc1123`, up to 63 characters, or `rfc952`, up to 24 that don't begin with a digit
 *  (its setting EnforceRFC952). */
export type LabelMode = "rfc1123" | "rfc952";

const MODE = {
  rfc1123: { most: 63, leading: /^-+/ },
  rfc952: { most: 24, leading: /^[-0-9]+/ },
} as const;

/** The label that Mesos-DNS makes of one part of a name. What was cut off fills the room of dashes that stood at the
 *  cut, once, and may then end in a dash itself: names must be as they always were. (labels.go) */
export function mesosLabel(text: string, mode: LabelMode): string {
  const { most, leading } = MODE[mode];
  const all = labelCharacters(text).replace(leading, "");
  const cut = all.slice(0, most);
  const label = cut.replace(/-+$/, "");
  if (label.length === cut.length || all.length <= most) return label;
  return (
    label +
    all
      .slice(most)
      .replace(/^-+/, "")
      .slice(0, most - label.length)
  );
}

/** Framework names keep their dots. */
export function mesosFragment(text: string, mode: LabelMode): string {
  return labelledParts(text, (part) => mesosLabel(part, mode));
}
