import { cString, fromCString, toHex } from "../lib/bytes.ts";
import { forEachAttribute, HEADER_LENGTH, readAttributes, readU32 } from "./attribute.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, type Request } from "./netlink.ts";
import type { NftElementsChange, NftRawElement } from "./nftables.ts";

// Elements of sets and maps in the kernel's form, for tables with ten thousands of them: no text is made, taken apart
// or compared. Numbers of linux/netfilter/nfnetlink.h and nf_tables.h.

const SUBSYSTEM = 10 << 8;
const NEWSETELEM = SUBSYSTEM | 12;
const DELSETELEM = SUBSYSTEM | 14;
const NESTED = 0x8000;
const LIST_TABLE = 1;
const LIST_SET = 2;
const LIST_ELEMENTS = 3;
const LIST_ELEMENT = 1;
const ELEMENT_KEY = 1;
const ELEMENT_DATA = 2;
const ELEMENT_USERDATA = 6;
const ELEMENT_EXPRESSION = 7;
const DATA_VALUE = 1;
const EXPRESSION_DATA = 2;
const COUNTER_PACKETS = 2;
/** Length of an attribute's header, and of struct nfgenmsg. */
const ATTRIBUTE = 4;
/** An attribute says its length in 16 bits, so elements are spread over messages. */
const LIST_LIMIT = 60_000;

/** The changes as messages of one batch. */
export function elementRequests(
  family: number,
  table: string,
  changes: readonly NftElementsChange[],
  tried: (change: NftElementsChange) => string,
): Request[] {
  const requests: Request[] = [];
  for (const change of changes) {
    for (let start = 0; start < change.elements.length; ) {
      const { message, end } = listMessage(family, table, change, start);
      requests.push({ message, tried: () => tried(change) });
      start = end;
    }
  }
  return requests;
}

/** One message with as many elements from `start` on as it takes. */
function listMessage(
  family: number,
  table: string,
  change: NftElementsChange,
  start: number,
): { readonly message: Uint8Array; readonly end: number } {
  const { elements } = change;
  const names = [cString(table), cString(change.set)] as const;
  let end = start;
  let length = 0;
  for (let next = elements[end]; next !== undefined; next = elements[++end]) {
    const added = elementLength(next);
    if (length + added > LIST_LIMIT && end > start) break;
    length += added;
  }
  const head = HEADER_LENGTH + ATTRIBUTE + padded(names[0].length) + padded(names[1].length) + 3 * ATTRIBUTE;
  const writer = new Writer(head + length);
  const creating = change.do === "create";
  writer.header(creating ? NEWSETELEM : DELSETELEM, NLM_F_REQUEST | (creating ? NLM_F_CREATE | NLM_F_EXCL : 0), family);
  writer.attribute(LIST_TABLE, names[0]);
  writer.attribute(LIST_SET, names[1]);
  writer.open(LIST_ELEMENTS | NESTED, length);
  for (let index = start; index < end; index++) {
    const element = elements[index];
    if (element !== undefined) writeElement(writer, element);
  }
  return { message: writer.bytes, end };
}

function elementLength({ key, data, comment }: NftRawElement): number {
  return (
    ATTRIBUTE +
    valueLength(key) +
    (data === undefined ? 0 : valueLength(data)) +
    (comment === undefined ? 0 : ATTRIBUTE + padded(comment.length + 3))
  );
}

/** A value is nested twice. */
function valueLength(value: string): number {
  return 2 * ATTRIBUTE + padded(value.length / 2);
}

function writeElement(writer: Writer, element: NftRawElement): void {
  const { key, data, comment } = element;
  writer.open(LIST_ELEMENT | NESTED, elementLength(element) - ATTRIBUTE);
  writer.value(ELEMENT_KEY, key);
  if (data !== undefined) writer.value(ELEMENT_DATA, data);
  if (comment !== undefined) writer.attribute(ELEMENT_USERDATA, commentBytes(comment));
}

/** User data as libnftnl's udata.h has it: type 0, length, text with its zero. */
function commentBytes(comment: string): Uint8Array {
  const text = cString(comment);
  const bytes = new Uint8Array(text.length + 2);
  bytes[1] = text.length;
  bytes.set(text, 2);
  return bytes;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** Writes a message whose length is known before. */
class Writer {
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  private offset = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
  }

  header(type: number, flags: number, family: number): void {
    this.view.setUint32(0, this.bytes.length, true);
    this.view.setUint16(4, type, true);
    this.view.setUint16(6, flags, true);
    this.bytes[HEADER_LENGTH] = family;
    this.offset = HEADER_LENGTH + ATTRIBUTE;
  }

  /** The header of an attribute with `length` bytes. */
  open(type: number, length: number): void {
    this.view.setUint16(this.offset, ATTRIBUTE + length, true);
    this.view.setUint16(this.offset + 2, type, true);
    this.offset += ATTRIBUTE;
  }

  attribute(type: number, payload: Uint8Array): void {
    this.open(type, payload.length);
    this.bytes.set(payload, this.offset);
    this.offset += padded(payload.length);
  }

  /** Nested twice; from hexadecimal digits. */
  value(type: number, digits: string): void {
    const length = digits.length / 2;
    this.open(type | NESTED, ATTRIBUTE + padded(length));
    this.open(DATA_VALUE, length);
    this.bytes.subarray(this.offset, this.offset + length).setFromHex(digits);
    this.offset += padded(length);
  }
}

/** Elements of one message of a dump. */
export function readRawElements(payload: Uint8Array): NftRawElement[] {
  const elements: NftRawElement[] = [];
  const list = readAttributes(payload, ATTRIBUTE).get(LIST_ELEMENTS);
  if (list !== undefined) forEachAttribute(list, 0, (_, bytes) => elements.push(readElement(bytes)));
  return elements;
}

function readElement(bytes: Uint8Array): NftRawElement {
  let key = "";
  let data: string | undefined;
  let comment: string | undefined;
  let packets: number | undefined;
  forEachAttribute(bytes, 0, (type, payload) => {
    if (type === ELEMENT_KEY) key = readValue(payload);
    else if (type === ELEMENT_DATA) data = readValue(payload);
    else if (type === ELEMENT_USERDATA && payload[0] === 0) comment = fromCString(payload.subarray(2));
    else if (type === ELEMENT_EXPRESSION) packets = readCounter(payload);
  });
  return {
    key,
    ...(data === undefined ? {} : { data }),
    ...(comment === undefined ? {} : { comment }),
    ...(packets === undefined ? {} : { packets }),
  };
}

function readValue(payload: Uint8Array): string {
  let value = "";
  forEachAttribute(payload, 0, (type, bytes) => {
    if (type === DATA_VALUE) value = toHex(bytes);
  });
  return value;
}

/** Counters are 64 bits in network order; what a number can't hold exactly no set of ours ever counts. */
function readCounter(payload: Uint8Array): number | undefined {
  const data = readAttributes(payload).get(EXPRESSION_DATA);
  const packets = data && readAttributes(data).get(COUNTER_PACKETS);
  if (packets === undefined || packets.length < 8) return undefined;
  const swapped = packets.slice().reverse();
  return readU32(swapped, 4) * 2 ** 32 + readU32(swapped, 0);
}
