const MASK = 0xffff_ffff_ffff_ffffn;

/** SipHash-2-4 (Aumasson and Bernstein, 2012) of a message under a key of 16 bytes: eight bytes, least significant
 *  first. */
export function sipHash24(key: Uint8Array, message: Uint8Array): Uint8Array {
  const [k0, k1] = [wordAt(key, 0), wordAt(key, 8)];
  const state = {
    v0: k0 ^ 0x736f6d6570736575n,
    v1: k1 ^ 0x646f72616e646f6dn,
    v2: k0 ^ 0x6c7967656e657261n,
    v3: k1 ^ 0x7465646279746573n,
  };
  const whole = message.length - (message.length % 8);
  for (let offset = 0; offset < whole; offset += 8) mix(state, wordAt(message, offset), 2);
  const last = new Uint8Array(8);
  last.set(message.subarray(whole));
  last[7] = message.length & 0xff;
  mix(state, wordAt(last, 0), 2);
  state.v2 ^= 0xffn;
  rounds(state, 4);
  const hash = new Uint8Array(8);
  new DataView(hash.buffer).setBigUint64(0, state.v0 ^ state.v1 ^ state.v2 ^ state.v3, true);
  return hash;
}

interface State {
  v0: bigint;
  v1: bigint;
  v2: bigint;
  v3: bigint;
}

function mix(state: State, word: bigint, times: number): void {
  state.v3 ^= word;
  rounds(state, times);
  state.v0 ^= word;
}

function rounds(state: State, times: number): void {
  let { v0, v1, v2, v3 } = state;
  for (let round = 0; round < times; round++) {
    v0 = (v0 + v1) & MASK;
    v1 = rotated(v1, 13n) ^ v0;
    v0 = rotated(v0, 32n);
    v2 = (v2 + v3) & MASK;
    v3 = rotated(v3, 16n) ^ v2;
    v0 = (v0 + v3) & MASK;
    v3 = rotated(v3, 21n) ^ v0;
    v2 = (v2 + v1) & MASK;
    v1 = rotated(v1, 17n) ^ v2;
    v2 = rotated(v2, 32n);
  }
  Object.assign(state, { v0, v1, v2, v3 });
}

function rotated(word: bigint, bits: bigint): bigint {
  return ((word << bits) | (word >> (64n - bits))) & MASK;
}

function wordAt(bytes: Uint8Array, offset: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset, true);
}
