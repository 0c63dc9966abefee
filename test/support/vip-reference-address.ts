import { createHash } from "node:crypto";

/** The name of a named virtual IP in the reference: label and framework, each made fit for DNS, without the zone. */
export function referenceName(label: string, framework: string): string {
  return `${sanitised(label)}.${sanitised(framework)}`;
}

/** Lower case, letters and digits, dashes between them, 63 characters a part at most, empty parts left out. */
function sanitised(text: string): string {
  return text
    .split(".")
    .filter((part) => part !== "")
    .map(sanitisedPart)
    .join(".");
}

function sanitisedPart(part: string): string {
  let made = "";
  for (const character of part.toLowerCase()) {
    if (/[a-z0-9]/.test(character)) {
      if (made.length === 63) made = made.replace(/-+$/, "");
      if (made.length < 63) made += character;
    } else if (/[-_]/.test(character) && made !== "" && made.length < 63) made += "-";
  }
  return made.replace(/-+$/, "");
}

const POOL_4 = { first: 0x0b000000n, last: 0x0bffffffn };
const POOL_6 = { first: 0xfd01000c_0000_0000_0000_0000_0000_0000n, last: 0xfd01000c_0000_0000_ffff_ffff_ffff_ffffn };

/** The address that a name gets in the pool of DC/OS when nothing stands in its way, as it stands in the names of
 *  services: `11.1.2.3`, `[fd01:c::1:2]`. */
export function referenceAddress(name: string, family: 4 | 6): string {
  if (family === 4) return dotted(POOL_4.first + (BigInt(lookup2(name)) % (POOL_4.last - POOL_4.first)));
  const hash = BigInt(`0x${createHash("sha1").update(name).digest("hex")}`);
  const value = POOL_6.first + (hash % (POOL_6.last - POOL_6.first));
  const groups = value.toString(16).padStart(32, "0").match(/.{4}/g) ?? [];
  return `[${new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1)}]`;
}

function dotted(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
}

/** Bob Jenkins' hash of 1996, as Erlang's phash2 uses it for byte strings. */
function lookup2(text: string): number {
  const bytes = [...new TextEncoder().encode(text)];
  const byte = (at: number): number => bytes[at] ?? 0;
  const word = (at: number): number =>
    byte(at) + byte(at + 1) * 2 ** 8 + byte(at + 2) * 2 ** 16 + byte(at + 3) * 2 ** 24;
  const golden = 0x9e3779b9;
  let [a, b, c] = [golden, golden, Math.imul(13, golden) >>> 0];
  if (bytes.length === 0) return c;
  const mix = (): void => {
    const step = (x: number, y: number, z: number, shifted: number): number => ((x - y - z) ^ shifted) >>> 0;
    for (const [right, left, last] of [
      [13, 8, 13],
      [12, 16, 5],
      [3, 10, 15],
    ] as const) {
      a = step(a, b, c, c >>> right);
      b = step(b, c, a, a << left);
      c = step(c, a, b, b >>> last);
    }
  };
  let at = 0;
  for (; bytes.length - at >= 12; at += 12) {
    a = (a + word(at)) >>> 0;
    b = (b + word(at + 4)) >>> 0;
    c = (c + word(at + 8)) >>> 0;
    mix();
  }
  c = (c + bytes.length) >>> 0;
  a = (a + word(at)) >>> 0;
  b = (b + word(at + 4)) >>> 0;
  // The lowest byte of this word has the length.
  c = (c + byte(at + 8) * 2 ** 8 + byte(at + 9) * 2 ** 16 + byte(at + 10) * 2 ** 24) >>> 0;
  mix();
  return c;
}
