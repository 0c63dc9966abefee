import { hkdfSync } from "node:crypto";
import { equalBytes } from "../lib/bytes.ts";
import { NetError } from "../lib/error.ts";

/** What the nodes of one cluster have in common. */
export interface ClusterKey {
  /** Says which key a packet is sealed with; tells nothing of the key. */
  readonly fingerprint: Uint8Array;
  /** 32 bytes from which the keys of senders and streams are derived. */
  readonly material: Uint8Array;
}

/** Keys of a node: it seals with the first and opens with all, so that keys change without loss: give all nodes the new
 *  key as second, then make it the first everywhere, then take the old one away. */
export interface KeyRing {
  readonly primary: ClusterKey;
  readonly others: readonly ClusterKey[];
}

export const FINGERPRINT_BYTES = 4;
const LEAST_SECRET = 16;

/** The key of a cluster, from its secret and its identity (HKDF with SHA-256, RFC 5869). Nodes with another identity,
 *  or without one (`undefined`), get another key although they have the same secret. Throws a NetError `invalid` at a
 *  secret of less than 16 bytes. */
export function deriveClusterKey(secret: Uint8Array, identity: string | undefined): ClusterKey {
  if (secret.length < LEAST_SECRET) {
    throw new NetError("invalid", {
      tried: "derive the key of the cluster",
      said: `the secret has ${secret.length} bytes; ${LEAST_SECRET} are the least`,
      remedy: "make one with: head -c 32 /dev/urandom | base64",
    });
  }
  const info = identity === undefined ? "cluster without identity" : `cluster identity ${identity}`;
  const bytes = derive(secret, new Uint8Array(0), info, 32 + FINGERPRINT_BYTES);
  return { material: bytes.subarray(0, 32), fingerprint: bytes.subarray(32) };
}

/** Bytes derived from a key for one purpose. */
export function derive(material: Uint8Array, salt: Uint8Array, purpose: string, length = 32): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", material, salt, `dcos-net gossip 1 ${purpose}`, length));
}

/** The key of the ring with this fingerprint; undefined when it has none. */
export function keyOf(ring: KeyRing, fingerprint: Uint8Array): ClusterKey | undefined {
  return [ring.primary, ...ring.others].find((key) => equalBytes(key.fingerprint, fingerprint));
}
