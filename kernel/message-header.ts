/** Bytes from one struct sockaddr of a batch to the next: room for struct sockaddr_in6, the larger of the two. */
export const SOURCE_BYTES = 32;
/** 32-bit words of struct mmsghdr and struct iovec with 64-bit pointers (linux/socket.h). */
export const MMSGHDR_WORDS = 16;
export const IOVEC_WORDS = 4;
/** Offsets in struct mmsghdr, in 32-bit words. */
export const NAME = 0;
export const NAME_LENGTH = 2;
export const IOV = 4;
export const IOV_COUNT = 6;
export const CONTROL = 8;
export const CONTROL_LENGTH = 10;
export const FLAGS = 12;
export const LENGTH = 14;

/** Writes a 64-bit address into a structure of 32-bit words. */
export function setPointer(words: Uint32Array, index: number, address: number): void {
  words[index] = address % 2 ** 32;
  words[index + 1] = Math.floor(address / 2 ** 32);
}

/** The same memory as bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
