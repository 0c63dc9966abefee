/** Registers of the eBPF machine (RFC 9669 section 2.1): r0 result, r1 to r5 arguments, r6 to r9 kept over calls, r10
 *  the end of the 512 bytes of stack. */
export type Register = "r0" | "r1" | "r2" | "r3" | "r4" | "r5" | "r6" | "r7" | "r8" | "r9" | "r10";

/** Bytes that a load or store moves. */
export type Width = 1 | 2 | 4 | 8;

const WIDTH: Readonly<Record<Width, number>> = { 4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18 };

/** Operations of arithmetic (RFC 9669 section 4.1). */
const ARITHMETIC = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  mod: 0x90,
  xor: 0xa0,
  mov: 0xb0,
} as const;

/** Comparisons of unsigned numbers (RFC 9669 section 4.3). */
const COMPARISON = { "==": 0x10, ">": 0x20, ">=": 0x30, "!=": 0x50, "<": 0xa0, "<=": 0xb0 } as const;

export type Operator = keyof typeof ARITHMETIC;
export type Comparison = keyof typeof COMPARISON;

/** Helper functions of the kernel by number (linux/bpf.h, enum bpf_func_id). */
const HELPER = {
  map_lookup_elem: 1,
  map_update_elem: 2,
  map_delete_elem: 3,
  ktime_get_ns: 5,
  get_prandom_u32: 7,
  get_socket_cookie: 46,
  get_netns_cookie: 122,
  set_retval: 187,
} as const;

export type Helper = keyof typeof HELPER;

/** Instruction classes and modes (RFC 9669 section 3). */
const LD = 0x00;
const LDX = 0x01;
const ST = 0x02;
const STX = 0x03;
const ALU32 = 0x04;
const JMP = 0x05;
const ALU64 = 0x07;
const FROM_REGISTER = 0x08;
const MEM = 0x60;
const ATOMIC = 0xc0;
/** Atomic operations that also give what was there before (RFC 9669 section 5.3). */
const FETCH = 0x01;
const COMPARE_AND_SWAP = 0xf0 | FETCH;
const IMM64 = 0x18;
const JUMP_ALWAYS = 0x00;
const CALL = 0x80;
const EXIT = 0x90;
/** Source register of a 64-bit load that makes its number the descriptor of a map. */
const PSEUDO_MAP_FD = 1;

interface Instruction {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly offset: number | string;
  readonly imm: number;
}

/** Writes eBPF programs instruction by instruction. Jumps name labels, which {@link finish} turns into distances. Pure;
 *  wrong use throws an Error, since it is a mistake of ours. */
export class BpfAssembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();
  #unique = 0;

  /** A label that no other call gives. */
  fresh(name: string): string {
    return `${name}#${this.#unique++}`;
  }

  /** The next instruction gets this name. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} is there twice`);
    this.#labels.set(name, this.#instructions.length);
    return this;
  }

  /** dst = dst `operator` src, on 64 bits. A number is extended from 32 bits with its sign. */
  compute(operator: Operator, dst: Register, src: Register | number): this {
    return this.#arithmetic(ALU64, operator, dst, src);
  }

  /** The same on 32 bits; the upper half of dst becomes zero. */
  compute32(operator: Operator, dst: Register, src: Register | number): this {
    return this.#arithmetic(ALU32, operator, dst, src);
  }

  move(dst: Register, src: Register | number): this {
    return this.compute("mov", dst, src);
  }

  /** dst = a 64-bit number. */
  constant(dst: Register, value: bigint): this {
    return this.#wide(dst, 0, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** dst = the map of this descriptor. */
  map(dst: Register, descriptor: number): this {
    return this.#wide(dst, PSEUDO_MAP_FD, descriptor, 0);
  }

  /** dst = the `width` bytes at base + offset, extended with zeros. */
  load(width: Width, dst: Register, base: Register, offset: number): this {
    return this.#add(LDX | MEM | WIDTH[width], number(dst), number(base), offset, 0);
  }

  /** The `width` bytes at base + offset = src. */
  store(width: Width, base: Register, offset: number, src: Register | number): this {
    if (typeof src === "number") return this.#add(ST | MEM | WIDTH[width], number(base), 0, offset, src);
    return this.#add(STX | MEM | WIDTH[width], number(base), number(src), offset, 0);
  }

  /** Adds src to the eight bytes at base + offset, in one step for all processors. */
  atomicAdd(base: Register, offset: number, src: Register): this {
    return this.#add(STX | ATOMIC | WIDTH[8], number(base), number(src), offset, ARITHMETIC.add);
  }

  /** The same; src = what they were, and all stores before are seen before it. Linux 5.12. */
  fetchAndAdd(base: Register, offset: number, src: Register): this {
    return this.#add(STX | ATOMIC | WIDTH[8], number(base), number(src), offset, ARITHMETIC.add | FETCH);
  }

  /** Stores src into the eight bytes at base + offset if they equal r0; r0 = what they were. In one step for all
   *  processors. Linux 5.12. */
  compareAndSwap(base: Register, offset: number, src: Register): this {
    return this.#add(STX | ATOMIC | WIDTH[8], number(base), number(src), offset, COMPARE_AND_SWAP);
  }

  jump(label: string): this {
    return this.#add(JMP | JUMP_ALWAYS, 0, 0, label, 0);
  }

  /** Jumps when the comparison of the two 64-bit numbers holds. */
  jumpIf(dst: Register, comparison: Comparison, src: Register | number, label: string): this {
    const code = JMP | COMPARISON[comparison];
    if (typeof src === "number") return this.#add(code, number(dst), 0, label, src);
    return this.#add(code | FROM_REGISTER, number(dst), number(src), label, 0);
  }

  /** Calls a helper with r1 to r5; r0 is its result, r1 to r5 are lost. */
  call(helper: Helper): this {
    return this.#add(JMP | CALL, 0, 0, 0, HELPER[helper]);
  }

  exit(): this {
    return this.#add(JMP | EXIT, 0, 0, 0, 0);
  }

  /** The program: eight bytes for each instruction, little-endian. */
  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#instructions.length * 8);
    const view = new DataView(bytes.buffer);
    for (const [index, { code, dst, src, offset, imm }] of this.#instructions.entries()) {
      const distance = typeof offset === "number" ? offset : this.#positionOf(offset) - index - 1;
      if (distance < -0x8000 || distance > 0x7fff) throw new Error(`offset ${distance} doesn't fit into 16 bits`);
      view.setUint8(index * 8, code);
      view.setUint8(index * 8 + 1, dst | (src << 4));
      view.setInt16(index * 8 + 2, distance, true);
      view.setInt32(index * 8 + 4, imm, true);
    }
    return bytes;
  }

  #positionOf(label: string): number {
    const position = this.#labels.get(label);
    if (position === undefined) throw new Error(`there is no label ${label}`);
    return position;
  }

  #arithmetic(group: number, operator: Operator, dst: Register, src: Register | number): this {
    const code = group | ARITHMETIC[operator];
    if (typeof src === "number") return this.#add(code, number(dst), 0, 0, src);
    return this.#add(code | FROM_REGISTER, number(dst), number(src), 0, 0);
  }

  #wide(dst: Register, src: number, low: number, high: number): this {
    this.#add(LD | IMM64, number(dst), src, 0, low);
    return this.#add(0, 0, 0, 0, high);
  }

  #add(code: number, dst: number, src: number, offset: number | string, imm: number): this {
    if (imm !== (imm | 0)) throw new Error(`${imm} doesn't fit into 32 bits with sign`);
    this.#instructions.push({ code, dst, src, offset, imm });
    return this;
  }
}

function number(register: Register): number {
  return Number(register.slice(1));
}
