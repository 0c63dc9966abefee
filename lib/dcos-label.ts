/** Bytes of a label in DNS at most (RFC 1035 section 2.3.4). */
const LABEL_BYTES = 63;

/** The label that DC/OS makes of a task's or framework's name: lower case; letters and digits stay, `-`, `_` and `.`
 *  become `-`, all else is dropped; no dash at either end. At 63 characters, dashes at the end make room for letters
 *  and digits that follow. Empty when nothing is left. (mesos_state:label/1) */
export function dcosLabel(text: string): string {
  const all = labelCharacters(text).replace(/^-+/, "");
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
  return labelledParts(text, dcosLabel);
}

/** The text in the characters that a label may have: lower case, `_` and `.` as `-`, the rest dropped. */
export function labelCharacters(text: string): string {
  return text
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replace(/[_.]/g, "-")
    .replace(/[^-a-z0-9]/g, "");
}

/** The parts of a text between dots, each made a label by `label`, without those of which nothing is left. */
export function labelledParts(text: string, label: (part: string) => string): string {
  return text
    .split(".")
    .map(label)
    .filter((part) => part !== "")
    .join(".");
}
