import { bpf, bpfAttribute, bpfError, bpfInfo, pinBpf, pinnedBpf, tryBpf } from "./bpf.ts";
import { attachTypeOf, type CgroupHook } from "./bpf-program.ts";
import { trySystemCall } from "./ffi.ts";

/** linux/bpf.h, enum bpf_link_type. */
const BPF_LINK_TYPE_CGROUP = 3;
const LINK_INFO_BYTES = 32;
const EPERM = 1;

/** A program attached to a control group (BPF_LINK_CREATE, Linux 5.7). It stays attached as long as somebody holds a
 *  descriptor of the link or it is pinned. Other programs on the same hook run besides, unless
 *  one was attached to have it for itself. */
export class CgroupLink {
  private constructor(readonly descriptor: number) {}

  /** Attaches a program to a control group, which `folder` is a descriptor of. */
  static attach(program: number, folder: number, hook: CgroupHook): CgroupLink {
    const attribute = bpfAttribute({ u32: { 0: program, 4: folder, 8: attachTypeOf(hook) } });
    const result = tryBpf("linkCreate", attribute);
    if (result >= 0) return new CgroupLink(result);
    const tried = `attach a BPF program to ${hook} of a control group`;
    if (result !== -EPERM) throw bpfError(-result, { tried });
    const said = "not allowed, or another program has this hook for itself";
    throw bpfError(EPERM, { tried, said, remedy: "run as root; `bpftool cgroup tree` shows other programs" });
  }

  /** The link that is pinned at `path`; undefined when there is none. */
  static pinned(path: string): CgroupLink | undefined {
    const descriptor = pinnedBpf(path);
    return descriptor === undefined ? undefined : new CgroupLink(descriptor);
  }

  /** struct bpf_link_info: type, id, prog_id, then cgroup_id and attach_type. Undefined for any other kind of link. A
   *  link whose control group is gone, or that was detached, has the control group 0. */
  info():
    | { readonly id: number; readonly program: number; readonly cgroup: bigint; readonly attachType: number }
    | undefined {
    const info = bpfInfo(this.descriptor, LINK_INFO_BYTES);
    if (info.getUint32(0, true) !== BPF_LINK_TYPE_CGROUP) return undefined;
    return {
      id: info.getUint32(4, true),
      program: info.getUint32(8, true),
      cgroup: info.getBigUint64(16, true),
      attachType: info.getUint32(24, true),
    };
  }

  /** Puts another program in place of the present one; no call goes without one or the other. */
  update(program: number): void {
    bpf("replace an attached BPF program", "linkUpdate", bpfAttribute({ u32: { 0: this.descriptor, 4: program } }));
  }

  /** Takes the program off, whoever else holds the link. */
  detach(): void {
    bpf("detach a BPF program", "linkDetach", bpfAttribute({ u32: { 0: this.descriptor } }));
  }

  pin(path: string): void {
    pinBpf(this.descriptor, path);
  }

  close(): void {
    trySystemCall("close", this.descriptor);
  }
}
