import { statSync } from "node:fs";
import { type ClusterKey, deriveClusterKey, type KeyRing } from "../../gossip/key.ts";
import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";

/** Bytes of a secret file at most. */
const LARGEST_SECRET = 4096;
/** Permission bits of group and others. */
const OTHERS = 0o077;

export interface SecretFiles {
  readonly secret: string;
  /** A second secret that is accepted, while the file is there; empty for none. */
  readonly former: string;
  /** Empty for none. */
  readonly identity: string;
}

/** The keys of the cluster. Throws a NetError: `not-found` without the file, `permission` when others than its owner may
 *  read it, `invalid` for a secret that is too short. No message holds any of the secret. */
export function readKeys(files: Files, { secret, former, identity }: SecretFiles): KeyRing {
  const others = former === "" || files.stat(former) === undefined ? [] : [readKey(files, former, identity)];
  return { primary: readKey(files, secret, identity), others };
}

function readKey(files: Files, path: string, identity: string): ClusterKey {
  const tried = `read the cluster secret ${path}`;
  const bytes = files.read(path, LARGEST_SECRET);
  if (bytes === undefined) {
    const remedy = `make one with: (umask 077; head -c 32 /dev/urandom | base64 > ${path}), the same on all nodes`;
    throw new NetError("not-found", { tried, said: "there is no such file", remedy });
  }
  const mode = statSync(path).mode & 0o777;
  if ((mode & OTHERS) !== 0) {
    const said = `others than its owner may use it (mode ${mode.toString(8).padStart(4, "0")})`;
    throw new NetError("permission", { tried, said, remedy: `chmod 600 ${path}` });
  }
  return deriveClusterKey(trimmed(bytes), identity === "" ? undefined : identity);
}

/** Without white space at the end: editors and `echo` add a newline, copies of the secret may lack it. */
function trimmed(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && " \t\r\n".includes(String.fromCharCode(bytes[end - 1] ?? 0))) end -= 1;
  return bytes.subarray(0, end);
}
