import type { Files } from "../../lib/files.ts";
import { nodeId } from "../../overlay/leader/node-id.ts";

const NAME_MOST = 60;

/** The id of this node, kept in its state directory; a new one begins with the name that the host has then, so that
 *  people recognise it: `web01-3f9a2b7c44d1`. `random`: unpredictable bytes. Throws as {@link nodeId}. */
export function ownId(files: Files, stateDir: string, name: string, random: (count: number) => Uint8Array): string {
  return nodeId(files, `${stateDir}/node-id`, () => {
    const plain = name.replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "");
    return `${plain.slice(0, NAME_MOST) || "node"}-${random(6).toHex()}`;
  });
}
