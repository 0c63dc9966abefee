import { BpfAssembler, type Register } from "../../kernel/bpf-assembler.ts";
import type { Family } from "../../lib/address.ts";
import { type MapName, PORT_AT } from "./socket-layout.ts";

/** Descriptors of the maps that programs are made for. */
export type MapDescriptors = Readonly<Record<MapName, number>>;

/** struct bpf_sock_addr (linux/bpf.h). */
const USER_IP4 = 4;
const USER_IP6 = 8;
const USER_PORT = 24;

const BPF_ANY = 0;
const BPF_NOEXIST = 1;
/** ::ffff: before an IPv4 address, as the third of four words. */
const MAPPED = 0xffff0000 | 0;

/** Steps that several programs take. r6 is the context in all of them. */
export class ProgramWriter extends BpfAssembler {
  /** `isRecent`: as in ProgramOptions. */
  constructor(
    private readonly maps: MapDescriptors,
    readonly isRecent: boolean,
  ) {
    super();
  }

  /** r1 = map, r2 = key on the stack. */
  private arguments(name: MapName, key: number): this {
    return this.move("r2", "r10").compute("add", "r2", key).map("r1", this.maps[name]);
  }

  /** r0 = address of the value, or zero. */
  lookUp(name: MapName, key: number): this {
    return this.arguments(name, key).call("map_lookup_elem");
  }

  /** r0 = 0, or a negative errno. `onlyNew`: an element that is there is left as it is. */
  update(name: MapName, key: number, value: number, onlyNew = false): this {
    this.arguments(name, key).move("r3", "r10").compute("add", "r3", value);
    return this.move("r4", onlyNew ? BPF_NOEXIST : BPF_ANY).call("map_update_elem");
  }

  remove(name: MapName, key: number): this {
    return this.arguments(name, key).call("map_delete_elem");
  }

  /** Stack at `offset` = the socket's cookie. */
  socketCookie(offset: number): this {
    return this.move("r1", "r6").call("get_socket_cookie").store(8, "r10", offset, "r0");
  }

  /** The `bytes` (a multiple of four) from `from` + `source` on to `to` + `target`. r1 is lost. */
  copy(to: Register, target: number, from: Register, source: number, bytes: number): this {
    for (let done = 0; done < bytes; ) {
      const isWide = bytes - done >= 8 && (target + done) % 8 === 0 && (source + done) % 8 === 0;
      const width = isWide ? 8 : 4;
      this.load(width, "r1", from, source + done).store(width, to, target + done, "r1");
      done += width;
    }
    return this;
  }

  zeros(offset: number, bytes: number): this {
    for (let done = 0; done < bytes; done += 4) this.store(4, "r10", offset + done, 0);
    return this;
  }

  /** Stack at `offset` = the endpoint that the context tells, but for its protocol. */
  endpoint(family: Family, offset: number): this {
    if (family === 4) {
      this.zeros(offset, 8).store(4, "r10", offset + 8, MAPPED);
      this.copy("r10", offset + 12, "r6", USER_IP4, 4);
    } else {
      this.copy("r10", offset, "r6", USER_IP6, 16);
    }
    return this.load(4, "r1", "r6", USER_PORT).store(2, "r10", offset + PORT_AT, "r1");
  }

  /** The context's address and port = those of the endpoint at `from` + `offset`. */
  rewrite(family: Family, from: Register, offset: number): this {
    if (family === 4) this.copy("r6", USER_IP4, from, offset + 12, 4);
    else this.copy("r6", USER_IP6, from, offset, 16);
    return this.load(2, "r1", from, offset + PORT_AT).store(4, "r6", USER_PORT, "r1");
  }

  finishWith(verdict: number): this {
    return this.move("r0", verdict).exit();
  }

  /** The cookie in r8 becomes a number that differs in all bits (the last steps of SplitMix64). */
  mix(): this {
    for (const [shift, factor] of [
      [30, 0xbf58476d1ce4e5b9n],
      [27, 0x94d049bb133111ebn],
    ] as const) {
      this.move("r1", "r8").compute("rsh", "r1", shift).compute("xor", "r8", "r1");
      this.constant("r1", factor).compute("mul", "r8", "r1");
    }
    return this.move("r1", "r8").compute("rsh", "r1", 31).compute("xor", "r8", "r1");
  }
}
