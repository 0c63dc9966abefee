import { CgroupLink } from "../../kernel/bpf-link.ts";
import { BpfMap } from "../../kernel/bpf-map.ts";
import { attachTypeOf, type CgroupHook, closeProgram, loadProgram, programInfoById } from "../../kernel/bpf-program.ts";
import { linuxFiles } from "../../kernel/file.ts";
import { closeFolder, openFolder } from "../../kernel/folder.ts";
import { cgroupRoot, mountBpfFilesystem } from "../../kernel/mounts.ts";
import { NetError } from "../../lib/error.ts";
import { MAPS, type MapName } from "./socket-layout.ts";
import { socketProgram } from "./socket-program.ts";
import type { MapDescriptors } from "./socket-program-writer.ts";

/** Where the programs work and where they and their maps are kept. */
export interface SocketPlaces {
  /** Folder of a control group of version 2: the programs see the sockets that processes in it and below make. */
  readonly cgroup: string;
  /** Where the BPF file system is; mounted there when it isn't. */
  readonly bpffs: string;
  /** Folder in it, ours alone. */
  readonly folder: string;
}

/** The control group of all processes of the node. Control groups of version 2 are mounted for ourselves when the node
 *  has not done so. */
export function nodeCgroup(): string {
  return cgroupRoot(OWN_CGROUPS);
}

const OWN_CGROUPS = "/run/dcos-net/cgroup2";

/** The maps of the data plane. */
export type SocketMaps = Readonly<Record<MapName, BpfMap>>;

const MAP_NAMES = Object.keys(MAPS) as MapName[];
/** In the order in which they are attached: the end of connections must be seen before there are any, and answers are
 *  translated before there are any. */
const HOOKS: readonly CgroupHook[] = [
  "release",
  "recvmsg4",
  "recvmsg6",
  "getpeername4",
  "getpeername6",
  "sendmsg4",
  "sendmsg6",
  "connect4",
  "connect6",
];

/** Maps and attached programs. They are pinned, so that they outlive us; descriptors that we hold besides bring back
 *  pins that somebody removes. */
export class SocketFoundation {
  #maps: SocketMaps | undefined;
  readonly #links = new Map<CgroupHook, CgroupLink>();
  #names: ReadonlyMap<string, readonly string[]> | undefined;

  readonly #pins: string;

  constructor(private readonly places: SocketPlaces) {
    this.#pins = `${places.bpffs}/${places.folder}`;
  }

  /** The maps that are there; undefined when not all of them are. */
  maps(): SocketMaps | undefined {
    this.#maps ??= this.#pinnedMaps();
    return this.#maps;
  }

  /** Makes what is missing or wrong, and names it. When it fails, all goes that was not there before, so that nobody is
   *  served by half of the programs. */
  prepare(): string[] {
    const cgroup = linuxFiles.stat(this.places.cgroup)?.inode;
    if (cgroup === undefined) {
      throw new NetError("not-found", {
        tried: `use control group ${this.places.cgroup}`,
        said: "there is no such folder",
        remedy: "mount cgroup2, or name a folder in it",
      });
    }
    const { bpffs } = this.places;
    const made = mountBpfFilesystem(bpffs) ? [`BPF file system ${bpffs}`] : [];
    const isNew = linuxFiles.stat(this.#pins) === undefined;
    try {
      this.#prepareAll(cgroup, made);
    } catch (error) {
      if (isNew) this.remove();
      throw error;
    }
    return made;
  }

  /** True when `prepare` would find nothing to make. */
  stands(): boolean {
    const cgroup = linuxFiles.stat(this.places.cgroup)?.inode;
    const maps = this.#maps;
    if (cgroup === undefined || maps === undefined) return false;
    return (
      MAP_NAMES.every((name) => this.#isPinned(name, maps)) && HOOKS.every((hook) => this.#runs(hook, maps, cgroup))
    );
  }

  #isPinned(name: MapName, maps: SocketMaps): boolean {
    const pinned = BpfMap.pinned(this.#mapPath(name), MAPS[name]);
    const is = pinned?.id === maps[name].id;
    pinned?.close();
    return is;
  }

  /** Our program is attached by a link that we hold and that is pinned. */
  #runs(hook: CgroupHook, maps: SocketMaps, cgroup: bigint): boolean {
    const info = this.#links.get(hook)?.info();
    const pinned = CgroupLink.pinned(this.#linkPath(hook));
    const isPinned = pinned?.info()?.id === info?.id;
    pinned?.close();
    const isAttached = info?.cgroup === cgroup && info.attachType === attachTypeOf(hook);
    return isPinned && isAttached && this.#isOurs(info.program, hook, maps);
  }

  /** Detaches the programs and lets go of the maps, so that nothing of ours is left. */
  remove(): void {
    for (const hook of HOOKS) {
      const link = this.#links.get(hook) ?? CgroupLink.pinned(this.#linkPath(hook));
      link?.detach();
      link?.close();
      linuxFiles.remove(this.#linkPath(hook));
    }
    for (const name of MAP_NAMES) linuxFiles.remove(this.#mapPath(name));
    for (const folder of ["maps", "links"] as const) linuxFiles.removeDirectory(this.#folder(folder));
    linuxFiles.removeDirectory(this.#pins);
    this.#links.clear();
    this.close();
  }

  close(): void {
    for (const map of Object.values(this.#maps ?? {})) map.close();
    for (const link of this.#links.values()) link.close();
    this.#maps = undefined;
    this.#links.clear();
  }

  #prepareAll(cgroup: bigint, made: string[]): void {
    linuxFiles.makeDirectory(this.#folder("maps"), 0o700);
    linuxFiles.makeDirectory(this.#folder("links"), 0o700);
    const maps = this.#prepareMaps(made);
    for (const hook of HOOKS) this.#prepareLink(hook, maps, cgroup, made);
  }

  #folder(name: "maps" | "links"): string {
    return `${this.#pins}/${name}`;
  }

  #mapPath(name: MapName): string {
    return `${this.#folder("maps")}/${name}`;
  }

  #linkPath(hook: CgroupHook): string {
    return `${this.#folder("links")}/${hook}`;
  }

  #pinnedMaps(): SocketMaps | undefined {
    const found = MAP_NAMES.map((name) => [name, BpfMap.pinned(this.#mapPath(name), MAPS[name])] as const);
    if (found.every((entry): entry is [MapName, BpfMap] => entry[1] !== undefined)) return byName(found);
    for (const [, map] of found) map?.close();
    return undefined;
  }

  #prepareMaps(made: string[]): SocketMaps {
    const held = this.#maps;
    const entries = MAP_NAMES.map((name): [MapName, BpfMap] => {
      const path = this.#mapPath(name);
      const pinned = BpfMap.pinned(path, MAPS[name]);
      const map = held?.[name] ?? pinned;
      if (map !== undefined && map.id === pinned?.id) {
        if (map !== pinned) pinned.close();
        return [name, map];
      }
      pinned?.close();
      linuxFiles.remove(path);
      made.push(map === undefined ? `BPF map ${name}` : `pin of BPF map ${name}`);
      const kept = map ?? BpfMap.create(MAPS[name]);
      kept.pin(path);
      return [name, kept];
    });
    this.#maps = byName(entries);
    return this.#maps;
  }

  /** A link stands when it is attached to our control group with the program that we would load now. */
  #prepareLink(hook: CgroupHook, maps: SocketMaps, cgroup: bigint, made: string[]): void {
    const path = this.#linkPath(hook);
    const pinned = CgroupLink.pinned(path);
    const held = this.#links.get(hook);
    const link = held ?? pinned;
    const info = link?.info();
    const attached = info !== undefined && info.cgroup === cgroup && info.attachType === attachTypeOf(hook);
    if (link === undefined || !attached) {
      if (link !== pinned) pinned?.close();
      link?.close();
      linuxFiles.remove(path);
      const anew = this.#attach(hook, maps);
      this.#links.set(hook, anew);
      anew.pin(path);
      made.push(`BPF link ${hook}`);
      return;
    }
    this.#links.set(hook, link);
    if (pinned?.info()?.id !== info.id) {
      linuxFiles.remove(path);
      link.pin(path);
      made.push(`pin of BPF link ${hook}`);
    }
    if (link !== pinned) pinned?.close();
    if (this.#isOurs(info.program, hook, maps)) return;
    this.#load(hook, maps, (program) => link.update(program));
    made.push(`BPF program ${hook}`);
  }

  #attach(hook: CgroupHook, maps: SocketMaps): CgroupLink {
    const folder = openFolder(this.places.cgroup);
    try {
      return this.#load(hook, maps, (program) => CgroupLink.attach(program, folder, hook));
    } finally {
      closeFolder(folder);
    }
  }

  /** Loads the program of a hook for as long as `use` takes, in a form that this kernel knows. */
  #load<T>(hook: CgroupHook, maps: SocketMaps, use: (program: number) => T): T {
    const program = loadKnown(hook, descriptorsOf(maps));
    try {
      return use(program);
    } finally {
      closeProgram(program);
    }
  }

  /** Our program works on our maps, and its name says what instructions it has. */
  #isOurs(id: number, hook: CgroupHook, maps: SocketMaps): boolean {
    const info = programInfoById(id);
    if (info === undefined) return false;
    this.#names ??= new Map(HOOKS.map((each) => [each, FORMS.map((form) => nameOf(each, form))]));
    const ids = new Set(Object.values(maps).map((map) => map.id));
    return this.#names.get(hook)?.includes(info.name) === true && info.maps.every((map) => ids.has(map));
  }
}

function byName(entries: readonly (readonly [MapName, BpfMap])[]): SocketMaps {
  return Object.fromEntries(entries) as Record<MapName, BpfMap>;
}

function descriptorsOf(maps: SocketMaps): MapDescriptors {
  return Object.fromEntries(Object.entries(maps).map(([name, map]) => [name, map.descriptor])) as MapDescriptors;
}

/** Whether the kernel is recent: the form to try first, and the one for older kernels. */
const FORMS = [true, false] as const;

function loadKnown(hook: CgroupHook, maps: MapDescriptors): number {
  let refusal: unknown;
  for (const isRecent of FORMS) {
    const instructions = socketProgram(hook, { maps, isRecent });
    try {
      return loadProgram({ name: nameOf(hook, isRecent), hook, instructions });
    } catch (error) {
      refusal ??= error;
    }
  }
  throw refusal;
}

const NO_MAPS = Object.fromEntries(MAP_NAMES.map((name) => [name, 0])) as MapDescriptors;

/** Programs with other instructions have another name. */
function nameOf(hook: CgroupHook, isRecent: boolean): string {
  const instructions = socketProgram(hook, { maps: NO_MAPS, isRecent });
  return `vip_${Bun.hash.crc32(instructions).toString(16).padStart(8, "0")}`;
}
