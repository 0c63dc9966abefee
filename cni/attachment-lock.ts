import { hasErrno } from "../lib/error.ts";
import type { FileLock, Files } from "../lib/files.ts";
import { attachmentNumber, type NetworkAttachment } from "./container-link.ts";

const LOCK_DIRECTORY = "/run/dcos-net";
const LOCK = `${LOCK_DIRECTORY}/attachments.lock`;
/** Milliseconds. An ADD that waits for duplicate address detection takes seconds. */
const LOCK_WAIT_MS = 30_000;

/** Makes the calls for one attachment wait for each other: a runtime that gives up on an ADD sends the DEL while the
 *  ADD still runs, and what is made after the DEL has looked would stay for ever. Throws `busy` when the other call
 *  doesn't end. */
export function lockAttachment(files: Files, attachment: NetworkAttachment): FileLock {
  return lockNumber(files, attachmentNumber(attachment), LOCK_WAIT_MS);
}

/** True when no call is at work on the attachment whose {@link attachmentNumber} this is. */
export function isAttachmentIdle(files: Files, number: number): boolean {
  try {
    lockNumber(files, number, 0).release();
    return true;
  } catch {
    return false;
  }
}

/** The directory is missing only on the first call after a boot. */
function lockNumber(files: Files, number: number, waitMs: number): FileLock {
  try {
    return files.lockByte(LOCK, number, waitMs);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
    files.makeDirectory(LOCK_DIRECTORY);
    return files.lockByte(LOCK, number, waitMs);
  }
}
