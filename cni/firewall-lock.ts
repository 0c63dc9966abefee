import type { Files } from "../lib/files.ts";

const LOCK_DIRECTORY = "/run/dcos-net";
const LOCK = `${LOCK_DIRECTORY}/firewall.lock`;
/** Milliseconds. Holders take one or two, so this is a queue of thousands. */
const LOCK_WAIT_MS = 30_000;

/** Runs `action` while no other call changes our tables. */
export function withFirewallLock<T>(files: Files, action: () => T): T {
  files.makeDirectory(LOCK_DIRECTORY);
  const lock = files.lock(LOCK, LOCK_WAIT_MS);
  try {
    return action();
  } finally {
    lock.release();
  }
}

/** False when no call has had a firewall entry to make since the machine started: the lock's file and the entries are
 *  both lost at reboot. It saves a DEL the asking. */
export function wasFirewallUsed(files: Files): boolean {
  return files.stat(LOCK) !== undefined;
}
