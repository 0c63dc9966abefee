import { LABEL_BYTES } from "./name.ts";

/** The label that DC/OS makes of a task's or framework's name: lower case; letters and digits stay, `-`, `_` and `.`
 *  become `-`, all else is dropped; no dash at either end. At 63 characters, dashes at the end make room for letters
 *  and digits that follow. Empty when nothing is left. (mesos_state:label/1) */
export function dcosLabel(text: string): string {
  const all = translated(text).replace(/^-+/, "");
  const cut = all.slice(0, LABEL_BYTES);
  const label = cut.replace(/-+$/, "");
  if (label.length === cut.length || all.length < LABEL_BYTES) return label;
  return (
    label +
    all
      .slice(LABEL_BYTES)
      .replaceAll("-", "")
      .slice(0, LABEL_BYTES - label.length)
  );
}

/** Labels for the parts of a text between dots, without the empty ones: `/api.hello` → `api.hello`. */
export function dcosFragment(text: string): string {
  return joined(text, dcosLabel);
}

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
  const all = translated(text).replace(leading, "");
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
  return joined(text, (part) => mesosLabel(part, mode));
}

function translated(text: string): string {
  return text
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replace(/[_.]/g, "-")
    .replace(/[^-a-z0-9]/g, "");
}

function joined(text: string, label: (part: string) => string): string {
  return text
    .split(".")
    .map(label)
    .filter((part) => part !== "")
    .join(".");
}
