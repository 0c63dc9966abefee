const ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769";

/** Bytes in z-base-32 (O'Whielacronx, 2002): most significant bit first, the last character filled with zeros. */
export function zbase32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 5; held -= 5) text += ALPHABET[(bits >> (held - 5)) & 31];
    bits &= (1 << held) - 1;
  }
  return held === 0 ? text : text + ALPHABET[(bits << (5 - held)) & 31];
}

/** The five characters that tell instances of a task apart in Mesos-DNS: the SHA-1 of the task's id in z-base-32. */
export function taskHash(taskId: string): string {
  return zbase32(new Uint8Array(new Bun.CryptoHasher("sha1").update(taskId).digest())).slice(0, 5);
}

/** The part of an agent's id behind its last dash, which Mesos-DNS ends instance names with: `…-S12` → `s12`. */
export function agentSuffix(agentId: string): string {
  return agentId.slice(agentId.lastIndexOf("-") + 1).toLowerCase();
}
