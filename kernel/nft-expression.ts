import type { MessageWriter } from "./attribute.ts";

// How an expression of nf_tables is written (linux/netfilter/nf_tables.h).

/** Writes one expression or other attribute. */
export type Write = (writer: MessageWriter) => void;

/** Marks an attribute that holds attributes. */
export const NESTED = 0x8000;
/** Number of an attribute in a list. */
export const LIST_ELEMENT = 1 | NESTED;

/** The first register of sixteen bytes. */
export const REG_1 = 1;
/** The first and the last of the sixteen registers of four bytes; the first is where REG_1 begins. */
export const REG32_FIRST = 8;
export const REG32_LAST = 23;

/** An expression with its own attributes. */
export function expression(name: string, data: Write): Write {
  return (writer) =>
    writer.nest(LIST_ELEMENT, (each) => {
      each.attributeText(1, name);
      each.nest(2 | NESTED, data);
    });
}

/** An expression whose attributes are numbers, from attribute 1 on. */
export function numbers(name: string, values: readonly number[]): Write {
  return expression(name, (data) => {
    for (const [index, value] of values.entries()) u32(index + 1, value)(data);
  });
}

/** A number in network byte order, as nf_tables has all its own. */
export function u32(type: number, value: number): Write {
  return (writer) => writer.attribute(type, new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]));
}
