/** A 32-bit hash of a text: FNV-1a with a final mix, so that texts that differ little differ in all bits. Not for
 *  secrets: whoever can choose the texts can make two alike. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return mix(hash);
}

/** One 32-bit number from a hash and a safe integer ≥ 0. */
export function hashNumber(hash: number, value: number): number {
  const low = mix(hash ^ Math.imul(value >>> 0, 0x9e3779b1));
  return mix(low ^ Math.imul(Math.floor(value / 0x1_0000_0000) + 0x7f4a7c15, 0x85ebca77));
}

/** Spreads the bits of a 32-bit number: the finalizer of MurmurHash3. */
export function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
