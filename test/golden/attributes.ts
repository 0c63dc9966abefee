import { expect } from "chai";

/** The netlink attributes in `bytes`, in their order: a call of `say` for each, with the path of numbers that leads to
 *  it, `18/2/1`, and what it holds. Checks that lengths and padding fit. */
export function attributeLines(
  above: string,
  bytes: Uint8Array,
  say: (path: string, payload: Uint8Array) => readonly string[],
): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const length = view.getUint16(offset, true);
    expect(length, "an attribute's length").to.be.within(4, bytes.length - offset);
    // The two highest bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
    const path = `${above}${view.getUint16(offset + 2, true) & 0x3fff}`;
    lines.push(...say(path, bytes.subarray(offset + 4, offset + length)));
    offset += (length + 3) & ~3;
  }
  return lines;
}
