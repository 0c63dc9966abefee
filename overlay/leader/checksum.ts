/** CRC-32 of a text's UTF-8 bytes (ISO 3309, as in gzip), eight hexadecimal digits: notices cut and damaged files, and
 *  is no protection against forgery. */
export function checksum(text: string): string {
  return Bun.hash.crc32(text).toString(16).padStart(8, "0");
}
