/** Where a command writes: the terminal, or a test's list. */
export interface Output {
  /** A line of the answer. */
  line(text: string): void;
  /** Progress and warnings: not part of the answer. */
  note(text: string): void;
}

export const terminal: Output = {
  line: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
};

/** Shows one value in the form the user asked for: `--json` as one JSON document, else the lines made by `lines`. */
export function show<T>(out: Output, json: boolean, value: T, lines: (value: T) => readonly string[]): void {
  if (json) out.line(JSON.stringify(value, null, 2));
  else for (const line of lines(value)) out.line(line);
}

/** Columns wide enough for their longest cell, two spaces apart. `right` are the numbers of columns that hold
 *  numbers. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], right: readonly number[] = []) {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return right.includes(column) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
}

/** The first `most` of many, and how many more there are. */
export function someOf(objects: readonly string[], most: number): string[] {
  const shown = objects.slice(0, most);
  return objects.length > shown.length ? [...shown, `and ${objects.length - shown.length} more`] : shown;
}

/** `1 peer`, `2 peers`, `3 processes`. */
export function count(number: number, noun: string): string {
  const plural = noun.endsWith("s") ? `${noun}es` : `${noun}s`;
  return `${number} ${number === 1 ? noun : plural}`;
}

/** `12 s`, `3 min`, `5 h`, `2 d`: an age that one glance takes in. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
