import { NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import { isNodeId } from "./types.ts";

/**
 * The id of this node, kept in the file `path`; made with `fresh` (a UUID) when there is none yet. By it the leader
 * recognises the node after its address or host name has changed, so the file must outlive reboots and must not be
 * part of an image from which hosts are copied. Throws a NetError `invalid` for a file that holds no id: making a new
 * one unasked would give the node a second allocation.
 */
export function nodeId(files: Files, path: string, fresh: () => string): string {
  const bytes = files.read(path, 1024);
  if (bytes === undefined) {
    const id = fresh();
    const slash = path.lastIndexOf("/");
    if (slash > 0) files.makeDirectory(path.slice(0, slash));
    files.replace(path, `${id}\n`, 0o644);
    return id;
  }
  const id = new TextDecoder().decode(bytes).trim();
  if (isNodeId(id)) return id;
  throw new NetError("invalid", {
    tried: `read this node's id from ${path}`,
    said: "it holds no id",
    remedy: "write the id there that the overlay's state shows for this node, or remove the file to join as a new node",
  });
}
