import type { Mac } from "../kernel/kernel.ts";

/** Makes locally administered unicast addresses (IEEE 802) of 40 bits of a hash, because asking for random numbers
 *  costs a cold start 0.1 ms, and addresses need only differ. */
function macOf(first: number, seed: string): Mac {
  const digits = Bun.hash.wyhash(seed).toString(16).padStart(16, "0");
  let text = first.toString(16).padStart(2, "0");
  for (let at = 0; at < 10; at += 2) text += `:${digits.slice(at, at + 2)}`;
  return text;
}

/** The hardware address of the host's end of a pair, which follows from its name: a link that has it is one of ours,
 *  even when its maker was killed before he could label it. It begins with `fe`, so that no bridge ever takes it on: a
 *  bridge without an address of its own uses the lowest of its ports'. */
export function hostMac(linkName: string): Mac {
  return macOf(0xfe, linkName);
}

/** A hardware address that no other container has: `seed` must name the container, its host and the moment. */
export function containerMac(seed: string): Mac {
  return macOf(0x02, seed);
}
