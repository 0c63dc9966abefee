import type { Kernel, Netns } from "../../kernel/kernel.ts";

/** A network namespace that a test made. */
export interface Namespace<Inner extends Kernel = Kernel> {
  readonly kernel: Inner;
  readonly netns: Netns;
  /** Where it is mounted. */
  readonly path: string;
}

/** A kernel whose namespaces are kernels of its own kind. */
export interface Machine<Inner extends Kernel = Kernel> extends Kernel {
  within(netns: Netns): Inner;
}

/** Makes empty namespaces below `folder`, by the kernel interface itself, until `close` takes all of them away. */
export class Namespaces<Inner extends Kernel = Kernel> {
  readonly #machine: Machine<Inner>;
  readonly #folder: string;
  readonly #undo: (() => void)[] = [];

  constructor(machine: Machine<Inner>, folder: string) {
    this.#machine = machine;
    this.#folder = folder;
  }

  open(name: string): Namespace<Inner> {
    const path = `${this.#folder}/${name}`;
    this.#machine.createNetns(path);
    this.#undo.push(() => this.#machine.deleteNetns(path));
    const netns = this.#machine.openNetns(path);
    if (netns === undefined) throw new Error(`no namespace at ${path}`);
    const kernel = this.#machine.within(netns);
    this.#undo.push(() => {
      kernel.close();
      netns.close();
    });
    return { kernel, netns, path };
  }

  close(): void {
    for (const step of this.#undo.reverse()) step();
    this.#undo.length = 0;
  }
}
