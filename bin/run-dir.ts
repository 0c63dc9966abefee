import { NetError } from "../lib/error.ts";
import type { FileLock, Files } from "../lib/files.ts";

/** What a running agent prevents, and what to do about it, in the words of a NetError. */
export interface Purpose {
  readonly tried: string;
  readonly remedy: string;
}

/** Takes the agent's run directory for process `pid`, making it when it isn't there: whoever changes this kernel holds
 *  it, so that no two do. Throws a NetError `conflict` that names the agent which has it. */
export function holdRunDir(files: Files, runDir: string, pid: number, purpose: Purpose): FileLock {
  files.makeDirectory(runDir);
  const lock = lockRunDir(files, runDir, purpose);
  const pidFile = pidPath(runDir);
  files.replace(pidFile, `${pid}\n`, 0o644);
  return {
    release() {
      files.remove(pidFile);
      lock.release();
    },
  };
}

function lockRunDir(files: Files, runDir: string, purpose: Purpose): FileLock {
  try {
    return files.lock(`${runDir}/agent.lock`, 0);
  } catch (error) {
    if (!(error instanceof NetError) || error.code !== "busy") throw error;
    const holder = new TextDecoder().decode(files.read(pidPath(runDir)) ?? new Uint8Array()).trim();
    const said = holder === "" ? "another agent is starting there" : `process ${holder} is the agent there`;
    throw new NetError("conflict", { ...purpose, said, cause: error });
  }
}

function pidPath(runDir: string): string {
  return `${runDir}/agent.pid`;
}
