import type { Kernel, Netns } from "../../kernel/kernel.ts";
import { fromCString } from "../../lib/bytes.ts";
import { messageOf, NetError } from "../../lib/error.ts";
import type { Files } from "../../lib/files.ts";
import type { Change, Dataplane } from "../dataplane.ts";
import { planServices } from "../plan.ts";
import type { Service } from "../service.ts";

/** Longest path of a namespace, in bytes. */
const PATH_LIMIT = 4096;

/** A namespace with virtual IPs of its own. */
interface Member {
  readonly netns: Netns;
  readonly kernel: Kernel;
  readonly plane: Dataplane;
}

export interface IpvsNamespacesOptions {
  /** The node's own namespace, from which paths are opened. */
  readonly kernel: Kernel;
  readonly files: Pick<Files, "list" | "read">;
  /** The directory in which the CNI plugin `dcos-l4lb` leaves, for each container, a file that holds nothing but the
   *  path of its namespace. */
  readonly directory: string;
  /** A data plane for a namespace whose only clients are its own processes. */
  readonly open: (kernel: Kernel) => Dataplane;
}

/** The namespaces of containers that have no way to the node, and so carry all virtual IPs themselves. They are
 *  looked for anew each time that `keep` is called. */
export class IpvsNamespaces {
  /** By identity of the namespace: several files may mean the same. */
  readonly #members = new Map<string, Member>();

  constructor(private readonly options: IpvsNamespacesOptions) {}

  /** Takes in the namespaces that have come, lets go of those that have gone, and gives all of them the services that
   *  `read` tells, if there are any. Returns what was made or wrong there, each with the path of the namespace. */
  keep(read: () => readonly Service[]): string[] {
    this.#look();
    if (this.#members.size === 0) return [];
    const services = read();
    return [...this.#members.values()].flatMap(({ netns, plane }) => {
      try {
        return repair(plane, services).map((what) => `${what} in ${netns.path}`);
      } catch (error) {
        return [`${messageOf(error)} in ${netns.path}`];
      }
    });
  }

  /** Carries out changes everywhere. A namespace may go at any moment, so that what it refuses is no failure; `keep`
   *  makes it good. */
  apply(changes: readonly Change[]): void {
    for (const plane of this.planes()) {
      try {
        plane.apply(changes);
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
      }
    }
  }

  /** The data planes of the present members. */
  planes(): Dataplane[] {
    return [...this.#members.values()].map(({ plane }) => plane);
  }

  /** Lets go of all; with `removing`, what they have of ours goes too. */
  close(removing = false): void {
    for (const id of [...this.#members.keys()]) this.#leave(id, removing);
  }

  #look(): void {
    const found = new Set<string>();
    for (const path of this.#paths()) {
      const netns = this.options.kernel.openNetns(path);
      if (netns === undefined) continue;
      found.add(netns.id);
      if (this.#members.has(netns.id)) netns.close();
      else this.#enter(netns);
    }
    for (const id of [...this.#members.keys()]) if (!found.has(id)) this.#leave(id, true);
  }

  /** Paths in the order of the files' names. What a plugin is about to rename isn't one of them. */
  #paths(): string[] {
    const { files, directory } = this.options;
    const names = files.list(directory).filter((name) => !name.startsWith(".") && !name.endsWith(".tmp"));
    return names.sort().flatMap((name) => {
      const content = files.read(`${directory}/${name}`, PATH_LIMIT);
      const path = content === undefined ? "" : fromCString(content).trim();
      return path.startsWith("/") ? [path] : [];
    });
  }

  #enter(netns: Netns): void {
    const kernel = this.options.kernel.within(netns);
    this.#members.set(netns.id, { netns, kernel, plane: this.options.open(kernel) });
  }

  #leave(id: string, removing: boolean): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    try {
      if (removing) member.plane.remove();
    } catch (error) {
      // Of a container that is gone nothing is left to take away.
      if (!(error instanceof NetError)) throw error;
    }
    member.plane.close();
    member.kernel.close();
    member.netns.close();
  }
}

/** Makes the namespace as it should be, and says what was missing or refused. */
function repair(plane: Dataplane, services: readonly Service[]): string[] {
  const { made } = plane.prepare();
  const outcome = plane.apply(planServices(plane.read(), services));
  return [...made, ...outcome.flatMap((error) => (error === undefined ? [] : [error.message]))];
}
