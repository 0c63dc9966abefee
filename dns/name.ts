/** Bytes of a label at most (RFC 1035 section 2.3.4). */
export const LABEL_BYTES = 63;
/** Bytes of a name on the wire at most, its closing zero included. */
const NAME_BYTES = 255;

/** Pointers that one name may follow; a name of 255 bytes can't need more. */
const POINTERS_MOST = 127;

const DOT = 0x2e;
const BACKSLASH = 0x5c;
const UPPER_A = 0x41;
const UPPER_Z = 0x5a;
const DIGIT_0 = 0x30;

/** A name as we hold it: lower case, labels joined by dots, without the closing dot; the root is the empty text. A
 *  byte that isn't printable ASCII, and a dot or backslash inside a label, is `\ddd` (RFC 1035 section 5.1), so that
 *  splitting at dots always gives the labels. */
export type Name = string;

export interface ReadName {
  readonly name: Name;
  /** Offset of the first byte after the name. */
  readonly end: number;
}

/** The name that begins at `start`, following compression pointers (RFC 1035 section 4.1.4), which must lead backwards.
 *  Undefined when it isn't one. */
export function readName(message: Uint8Array, start: number): ReadName | undefined {
  let text = 0;
  let length = 1;
  let end: number | undefined;
  let pointers = 0;
  for (let offset = start; ; ) {
    const size = message[offset];
    if (size === undefined) return undefined;
    if (size === 0) return { name: TEXT.toString("latin1", 0, text), end: end ?? offset + 1 };
    if (size >= 0xc0) {
      const target = ((size & 0x3f) << 8) | (message[offset + 1] ?? 0);
      if (offset + 1 >= message.length || target >= offset || ++pointers > POINTERS_MOST) return undefined;
      end ??= offset + 2;
      offset = target;
      continue;
    }
    length += size + 1;
    if (size > LABEL_BYTES || length > NAME_BYTES || offset + size >= message.length) return undefined;
    if (text > 0) TEXT[text++] = DOT;
    text = writeLabelText(message, offset, text);
    offset += size + 1;
  }
}

/** Where a name's text is put together: joining strings would leave one for every letter to the collector. */
const TEXT = Buffer.alloc(4 * NAME_BYTES);

/** Appends the text of the label whose length byte is at `offset`; gives the new length of the text. */
function writeLabelText(message: Uint8Array, offset: number, start: number): number {
  let text = start;
  const end = offset + (message[offset] ?? 0);
  for (let index = offset + 1; index <= end; index++) {
    const byte = message[index] ?? 0;
    if (byte > 0x20 && byte < 0x7f && byte !== DOT && byte !== BACKSLASH) {
      TEXT[text++] = byte >= UPPER_A && byte <= UPPER_Z ? byte + 0x20 : byte;
      continue;
    }
    TEXT[text++] = BACKSLASH;
    for (let unit = 100; unit >= 1; unit /= 10) TEXT[text++] = DIGIT_0 + (Math.trunc(byte / unit) % 10);
  }
  return text;
}

/** The name in bytes without compression, or undefined when it can't be one: an empty or too long label, more than 255
 *  bytes, or a character beyond ASCII. */
export function nameBytes(name: Name): Uint8Array | undefined {
  if (name === "") return new Uint8Array(1);
  if (name.length > NAME_BYTES * 4) return undefined;
  const bytes: number[] = [];
  for (const label of name.split(".")) {
    const content = labelBytes(label);
    if (content === undefined) return undefined;
    bytes.push(content.length, ...content);
  }
  bytes.push(0);
  return bytes.length <= NAME_BYTES ? Uint8Array.from(bytes) : undefined;
}

/** Writes the bytes of a name, as {@link nameBytes} gives them, to the start of a buffer of 255 bytes or more. Gives
 *  their number, 0 when it can't be a name. Leaves no garbage for names without escapes. */
export function writeName(name: Name, to: Uint8Array): number {
  let labelAt = 0;
  if (name === "") {
    to[0] = 0;
    return 1;
  }
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (code === BACKSLASH) return writeEscaped(name, to);
    const length = index - labelAt;
    if (code === DOT) {
      if (length === 0) return 0;
      to[labelAt] = length;
      labelAt = index + 1;
    } else if (code > 0x7e || length === LABEL_BYTES || index + 3 > NAME_BYTES) return 0;
    else to[index + 1] = code;
  }
  const length = name.length - labelAt;
  if (length === 0) return 0;
  to[labelAt] = length;
  to[name.length + 1] = 0;
  return name.length + 2;
}

function writeEscaped(name: Name, to: Uint8Array): number {
  const bytes = nameBytes(name);
  if (bytes === undefined) return 0;
  to.set(bytes);
  return bytes.length;
}

/** True when the name can go on the wire. */
export function isSendableName(name: Name): boolean {
  return writeName(name, scratch) > 0;
}

const scratch = new Uint8Array(NAME_BYTES + 1);

/** Bytes of one label; undefined when it is empty, too long, or has a character that is not ASCII. */
function labelBytes(label: string): number[] | undefined {
  const bytes: number[] = [];
  for (let index = 0; index < label.length; index++) {
    const escaped = label[index] === "\\" ? label.slice(index + 1, index + 4) : undefined;
    if (escaped !== undefined && !/^\d{3}$/.test(escaped)) return undefined;
    const byte = escaped === undefined ? label.charCodeAt(index) : Number(escaped);
    if (escaped !== undefined) index += 3;
    if (byte > (escaped === undefined ? 0x7e : 0xff)) return undefined;
    bytes.push(byte);
  }
  return bytes.length > 0 && bytes.length <= LABEL_BYTES ? bytes : undefined;
}

/** The name that somebody wrote, with or without closing dot, in whatever case; undefined when it can't be one. */
export function parseName(text: string): Name | undefined {
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  return nameBytes(name) === undefined ? undefined : name;
}

/** The name without its first label; the root's is the root. */
export function parentOf(name: Name): Name {
  const dot = name.indexOf(".");
  return dot < 0 ? "" : name.slice(dot + 1);
}

/** True when `name` is `zone` or below it. */
export function isUnder(name: Name, zone: Name): boolean {
  if (zone === "" || name === zone) return true;
  return name.length > zone.length && name.endsWith(zone) && name[name.length - zone.length - 1] === ".";
}

/** `name` with the end `from`, which it must have, replaced by `to`. */
export function renamed(name: Name, from: Name, to: Name): Name {
  return name.slice(0, name.length - from.length) + to;
}
