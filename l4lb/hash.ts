const GOLDEN = 0x9e3779b9;

/** The hash that the reference spreads names with: lookup2 (Bob Jenkins, "Hash Functions", 1996) with the initial value
 *  that Erlang's `phash2` uses for a byte string. 0 … 2^32−1. `text` must be ASCII. */
export function lookup2(text: string): number {
  const bytes = new TextEncoder().encode(text);
  const initial = Math.imul(13, GOLDEN) >>> 0;
  if (bytes.length === 0) return initial;
  let state: State = [GOLDEN, GOLDEN, initial];
  let start = 0;
  for (; bytes.length - start >= 12; start += 12) {
    const [a, b, c] = state;
    state = mix([a + word(bytes, start), b + word(bytes, start + 4), c + word(bytes, start + 8)]);
  }
  const [a, b, c] = state;
  const last = (word(bytes, start + 8) << 8) >>> 0;
  return mix([a + word(bytes, start), b + word(bytes, start + 4), c + bytes.length + last])[2];
}

type State = readonly [number, number, number];

/** Four bytes in little endian, zeros beyond the end. */
function word(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + 4);
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

/** The mix of lookup2: each line subtracts the other two and then the third shifted, in turn. */
function mix(state: State): State {
  let [a, b, c] = state.map((each) => each >>> 0) as [number, number, number];
  for (const [right, left, right2] of [
    [13, 8, 13],
    [12, 16, 5],
    [3, 10, 15],
  ] as const) {
    a = ((a - b - c) ^ (c >>> right)) >>> 0;
    b = ((b - c - a) ^ (a << left)) >>> 0;
    c = ((c - a - b) ^ (b >>> right2)) >>> 0;
  }
  return [a, b, c];
}
