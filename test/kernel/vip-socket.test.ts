import { existsSync, readdirSync, rmSync } from "node:fs";
import { CgroupLink } from "../../kernel/bpf-link.ts";
import { BpfMap } from "../../kernel/bpf-map.ts";
import type { CgroupHook } from "../../kernel/bpf-program.ts";
import { closeFolder, openFolder } from "../../kernel/folder.ts";
import { openSocketDataplane } from "../../l4lb/dataplanes/socket.ts";
import { MAPS, type MapName } from "../../l4lb/dataplanes/socket-layout.ts";
import {
  openSocketPlace,
  programsOf,
  type SocketPlace,
  socketPlaceUnavailable,
  withPlainProgram,
} from "../support/socket-place.ts";
import { vipBehaviour } from "../support/vip-behaviour.ts";
import type { VipDamage } from "../support/vip-harness.ts";

const HOOKS: readonly CgroupHook[] = [
  "connect4",
  "connect6",
  "sendmsg4",
  "sendmsg6",
  "recvmsg4",
  "recvmsg6",
  "getpeername4",
  "getpeername6",
  "release",
];
/** Maps in which there is something for every service. */
const SERVING: readonly MapName[] = ["addresses", "services", "slots", "members"];

function unmount(folder: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["umount", folder]);
  if (exitCode !== 0) throw new Error(stderr.toString());
}

let opened: SocketPlace | undefined;
const foreign: CgroupLink[] = [];

function place(): SocketPlace {
  if (opened === undefined) throw new Error("there is no control group yet");
  return opened;
}

function link(hook: CgroupHook): CgroupLink {
  const found = CgroupLink.pinned(`${place().pins}/links/${hook}`);
  if (found === undefined) throw new Error(`no link ${hook}`);
  return found;
}

function linkDamages(hook: CgroupHook): VipDamage[] {
  return [
    {
      what: `${hook} detached`,
      do() {
        const found = link(hook);
        found.detach();
        found.close();
      },
    },
    {
      what: `${hook} replaced by another program`,
      do() {
        const found = link(hook);
        withPlainProgram(hook, (program) => found.update(program));
        found.close();
      },
    },
    { what: `pin of link ${hook} removed`, do: () => rmSync(`${place().pins}/links/${hook}`) },
  ];
}

function mapDamages(name: MapName): VipDamage[] {
  return [
    {
      what: `an element of ${name} deleted`,
      do() {
        const map = BpfMap.pinned(`${place().pins}/maps/${name}`, MAPS[name]);
        if (map === undefined) throw new Error(`no map ${name}`);
        map.delete(map.dump().keys.slice(0, map.spec.keyBytes));
        map.close();
      },
    },
    {
      what: `an element of ${name} overwritten`,
      do() {
        const map = BpfMap.pinned(`${place().pins}/maps/${name}`, MAPS[name]);
        if (map === undefined) throw new Error(`no map ${name}`);
        map.set(map.dump().keys.slice(0, map.spec.keyBytes), new Uint8Array(map.spec.valueBytes).fill(7));
        map.close();
      },
    },
    {
      what: `map ${name} emptied`,
      do() {
        const map = BpfMap.pinned(`${place().pins}/maps/${name}`, MAPS[name]);
        if (map === undefined) throw new Error(`no map ${name}`);
        const { keys, count } = map.dump();
        map.deleteMany(keys, count);
        map.close();
      },
    },
    { what: `pin of map ${name} removed`, do: () => rmSync(`${place().pins}/maps/${name}`) },
  ];
}

vipBehaviour({
  name: "sockets (eBPF)",
  unavailable: socketPlaceUnavailable,
  openCgroup() {
    const made = openSocketPlace();
    opened = made;
    return {
      path: made.cgroup,
      close() {
        for (const each of foreign.splice(0)) each.close();
        made.close();
      },
    };
  },
  open: () => openSocketDataplane(place()),
  damages: [
    ...HOOKS.flatMap(linkDamages),
    ...SERVING.flatMap(mapDamages),
    { what: "the BPF file system unmounted", do: () => unmount(place().bpffs) },
    { what: "all pins removed", do: () => rmSync(place().pins, { recursive: true }) },
  ],
  foreign: {
    make() {
      const folder = openFolder(place().cgroup);
      for (const hook of ["connect4", "release"] as const) {
        foreign.push(withPlainProgram(hook, (program) => CgroupLink.attach(program, folder, hook)));
      }
      closeFolder(folder);
    },
    look: () => foreign.map((each) => JSON.stringify(each.info(), (_, value) => String(value))).join("\n"),
  },
  left() {
    const { cgroup, pins } = place();
    const pinned = existsSync(pins) ? readdirSync(pins) : [];
    return JSON.stringify([pinned, HOOKS.map((hook) => programsOf(cgroup, hook))]);
  },
});
