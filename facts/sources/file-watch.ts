import { watch } from "node:fs";
import { messageOf, NetError } from "../../lib/error.ts";
import type { WatchDirectory } from "./file.ts";

/** Watches with the kernel's inotify(7). When the watch breaks later, nothing is told any more: whoever watches looks
 *  now and then by himself. */
export const watchDirectory: WatchDirectory = (path, onChange) => {
  try {
    const watcher = watch(path, { persistent: false }, onChange);
    watcher.on("error", onChange);
    return () => watcher.close();
  } catch (cause) {
    throw new NetError("io", {
      tried: `watch ${path}`,
      said: messageOf(cause),
      remedy: "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
      cause,
    });
  }
};
