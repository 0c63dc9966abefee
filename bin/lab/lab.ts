import { readdirSync, readFileSync } from "node:fs";
import type { Kernel } from "../../kernel/kernel.ts";
import { NetError } from "../../lib/error.ts";
import type { FileLock, Files } from "../../lib/files.ts";
import type { Output } from "../output.ts";
import { type LabLayout, labLayout, type NodeLayout, nodeLayout } from "./layout.ts";
import type { LabNode } from "./topology.ts";

/** What the functions of a lab are handed. */
export interface LabContext {
  /** Directory of all labs. */
  readonly root: string;
  readonly kernel: Kernel;
  readonly files: Files;
  readonly out: Output;
  /** Path of the executable that agents and plugins are. */
  readonly executable: string;
}

/** What a lab was asked to be, written before anything else of it is made. */
export interface LabRecord {
  readonly version: 1;
  readonly name: string;
  readonly nodes: readonly LabNode[];
}

export interface Lab {
  readonly layout: LabLayout;
  readonly record: LabRecord;
  readonly nodes: readonly NodeLayout[];
}

/** How long to wait for another command that changes the same lab, milliseconds. */
const LOCK_WAIT_MS = 20_000;

/** Names of the labs that are up or half up, sorted. */
export function labNames(root: string): string[] {
  try {
    return readdirSync(root).sort();
  } catch {
    return [];
  }
}

/** Finds a lab by name. Throws a NetError `not-found` that names those there are, or `unavailable` for one that is
 *  half made. */
export function openLab(root: string, name: string): Lab {
  const layout = labLayout(root, name);
  const present = labNames(root);
  if (!present.includes(name)) {
    throw new NetError("not-found", {
      tried: `find lab ${name}`,
      said: present.length === 0 ? "no lab is up" : `there are: ${present.join(", ")}`,
      remedy: `bring it up with \`dcos-net lab up --lab ${name}\``,
    });
  }
  const record = readRecord(layout);
  if (record === undefined) {
    throw new NetError("unavailable", {
      tried: `use lab ${name}`,
      said: "it was never finished",
      remedy: `remove it with \`dcos-net lab down --lab ${name}\``,
    });
  }
  return { layout, record, nodes: record.nodes.map((node) => nodeLayout(layout, node.name)) };
}

function readRecord(layout: LabLayout): LabRecord | undefined {
  try {
    return JSON.parse(readFileSync(layout.record, "utf8")) as LabRecord;
  } catch {
    return undefined;
  }
}

/** The host called `2` or `n2`. Throws a NetError `not-found`. */
export function nodeOf(lab: Lab, name: string): NodeLayout {
  const node = lab.nodes.find((candidate) => candidate.name === name || candidate.name === `n${name}`);
  if (node !== undefined) return node;
  const names = lab.nodes.map((candidate) => candidate.name).join(", ");
  throw new NetError("not-found", { tried: `find host ${name} of lab ${lab.layout.name}`, said: `it has ${names}` });
}

/** Runs `action` with the kernel of the namespace at `path`. Throws a NetError `not-found` when it is gone. */
export async function inNamespace<T>(
  kernel: Kernel,
  path: string,
  action: (kernel: Kernel) => T | Promise<T>,
): Promise<T> {
  const netns = kernel.openNetns(path);
  if (netns === undefined) {
    throw new NetError("not-found", { tried: `enter the network namespace ${path}`, said: "it isn't there" });
  }
  const inside = kernel.within(netns);
  try {
    return await action(inside);
  } finally {
    inside.close();
    netns.close();
  }
}

/** Runs `action` while no other command changes the lab. */
export async function locked<T>({ files }: LabContext, layout: LabLayout, action: () => Promise<T>): Promise<T> {
  const lock: FileLock = files.lock(layout.lock, LOCK_WAIT_MS);
  try {
    return await action();
  } finally {
    lock.release();
  }
}
