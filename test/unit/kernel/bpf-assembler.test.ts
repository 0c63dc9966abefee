import { expect } from "chai";
import { BpfAssembler } from "../../../kernel/bpf-assembler.ts";
import { toHex } from "../../../lib/bytes.ts";

/** The instructions of a program, each as hexadecimal digits. */
function encoded(write: (assembler: BpfAssembler) => BpfAssembler): string[] {
  const bytes = write(new BpfAssembler()).finish();
  return Array.from({ length: bytes.length / 8 }, (_, index) => toHex(bytes.subarray(index * 8, index * 8 + 8)));
}

// The encodings are those that llvm-mc 14 (-triple bpfel) gives for the text beside them; those of `%=`, of stores of
// numbers, and of atomic operations that fetch, which it doesn't take, follow RFC 9669.
describe("assembler for eBPF", () => {
  it("encodes arithmetic on 64 and 32 bits, with registers and numbers", () => {
    expect(
      encoded(
        (a) =>
          a
            .move("r0", 1) // r0 = 1
            .move("r6", "r1") // r6 = r1
            .compute("add", "r2", -40) // r2 += -40
            .compute("sub", "r9", 1) // r9 -= 1
            .compute("mul", "r1", "r2") // r1 *= r2
            .compute("div", "r1", 3) // r1 /= 3
            .compute("or", "r8", "r0") // r8 |= r0
            .compute("and", "r8", 255) // r8 &= 255
            .compute("lsh", "r8", 32) // r8 <<= 32
            .compute("rsh", "r1", 32) // r1 >>= 32
            .compute("mod", "r8", 7) // r8 %= 7
            .compute("xor", "r8", "r1") // r8 ^= r1
            .compute32("mov", "r8", "r8") // w8 = w8
            .compute32("add", "r3", 5), // w3 += 5
      ),
    ).to.deep.equal([
      "b700000001000000",
      "bf16000000000000",
      "07020000d8ffffff",
      "1709000001000000",
      "2f21000000000000",
      "3701000003000000",
      "4f08000000000000",
      "57080000ff000000",
      "6708000020000000",
      "7701000020000000",
      "9708000007000000",
      "af18000000000000",
      "bc88000000000000",
      "0403000005000000",
    ]);
  });

  it("encodes loads and stores of every width", () => {
    expect(
      encoded(
        (a) =>
          a
            .load(1, "r1", "r10", -30) // r1 = *(u8 *)(r10 - 30)
            .load(2, "r1", "r0", 16) // r1 = *(u16 *)(r0 + 16)
            .load(4, "r1", "r6", 24) // r1 = *(u32 *)(r6 + 24)
            .load(8, "r1", "r7", 0) // r1 = *(u64 *)(r7 + 0)
            .store(1, "r10", -1, "r2") // *(u8 *)(r10 - 1) = r2
            .store(2, "r10", -24, "r1") // *(u16 *)(r10 - 24) = r1
            .store(4, "r10", -40, 0) // *(u32 *)(r10 - 40) = 0
            .store(8, "r10", -8, "r0") // *(u64 *)(r10 - 8) = r0
            .atomicAdd("r0", 8, "r1") // lock *(u64 *)(r0 + 8) += r1
            .fetchAndAdd("r1", 8, "r2") // r2 = atomic_fetch_add((u64 *)(r1 + 8), r2)
            .compareAndSwap("r3", 0, "r1"), // r0 = cmpxchg_64(r3 + 0, r0, r1)
      ),
    ).to.deep.equal([
      "71a1e2ff00000000",
      "6901100000000000",
      "6161180000000000",
      "7971000000000000",
      "732affff00000000",
      "6b1ae8ff00000000",
      "620ad8ff00000000",
      "7b0af8ff00000000",
      "db10080000000000",
      "db21080001000000",
      "db130000f1000000",
    ]);
  });

  it("encodes numbers of 64 bits and maps in two instructions", () => {
    expect(
      encoded((a) => a.constant("r1", 0xbf58476d1ce4e5b9n).map("r1", 7)), // r1 = 0xbf58… ll
    ).to.deep.equal(["18010000b9e5e41c", "000000006d4758bf", "1811000007000000", "0000000000000000"]);
  });

  it("encodes calls, the end, and jumps forwards and backwards by their distance", () => {
    expect(
      encoded(
        (a) =>
          a
            .label("start")
            .jumpIf("r0", "==", 0, "end") // if r0 == 0 goto +4
            .jumpIf("r1", "!=", "r2", "end") // if r1 != r2 goto +3
            .jumpIf("r8", "<=", "r1", "start") // if r8 <= r1 goto -3
            .call("map_lookup_elem") // call 1
            .jump("start") // goto -5
            .label("end")
            .exit(), // exit
      ),
    ).to.deep.equal([
      "1500040000000000",
      "5d21030000000000",
      "bd18fdff00000000",
      "8500000001000000",
      "0500fbff00000000",
      "9500000000000000",
    ]);
  });

  it("encodes every comparison", () => {
    const codes = (["==", ">", ">=", "!=", "<", "<="] as const).map(
      (comparison) => encoded((a) => a.label("here").jumpIf("r3", comparison, 9, "here"))[0],
    );
    expect(codes).to.deep.equal([
      "1503ffff09000000",
      "2503ffff09000000",
      "3503ffff09000000",
      "5503ffff09000000",
      "a503ffff09000000",
      "b503ffff09000000",
    ]);
  });

  it("refuses labels that are missing or there twice, and numbers that don't fit", () => {
    expect(() => new BpfAssembler().jump("nowhere").finish()).to.throw(/no label nowhere/);
    expect(() => new BpfAssembler().label("a").label("a")).to.throw(/twice/);
    expect(() => new BpfAssembler().move("r1", 2 ** 31)).to.throw(/32 bits/);
    expect(() => new BpfAssembler().load(4, "r1", "r2", 2 ** 15).finish()).to.throw(/16 bits/);
  });
});
