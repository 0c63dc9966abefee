const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Bytes of a C string, with its terminating zero: what system calls and netlink string attributes take. */
export function cString(value: string): Uint8Array {
  return utf8.encode(`${value}\0`);
}

/** Text up to the first zero byte, or to the end. */
export function fromCString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return text.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export function toHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Bytes from hexadecimal digits; throws a SyntaxError on anything else. */
export function fromHex(digits: string): Uint8Array {
  return Uint8Array.fromHex(digits);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
