/** Record types that we know by name (IANA "Resource Record (RR) TYPEs"). */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  DS: 43,
  RRSIG: 46,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export type TypeName = keyof typeof TYPE;

/** Classes (RFC 1035 section 3.2.4): we serve the Internet only. */
export const CLASS = { IN: 1, ANY: 255 } as const;

/** Response codes (RFC 1035 section 4.1.1, RFC 6891 section 9 for BADVERS). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

/** Flag bits of the header's second 16-bit word (RFC 1035 section 4.1.1, RFC 4035 section 3.2 for CD). */
export const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;

/** EDNS option codes: cookies (RFC 7873), extended errors (RFC 8914). */
export const OPTION = { COOKIE: 10, EXTENDED_ERROR: 15 } as const;

/** Info codes of extended errors that we send (RFC 8914 section 4). */
export const EXTENDED_ERROR = {
  STALE_ANSWER: 3,
  NOT_READY: 14,
  PROHIBITED: 18,
  STALE_NXDOMAIN: 19,
  NOT_AUTHORITATIVE: 20,
  NOT_SUPPORTED: 21,
  NO_REACHABLE_AUTHORITY: 22,
} as const;

/** Bytes of a message over UDP without EDNS at most (RFC 1035 section 2.3.4). */
export const PLAIN_UDP_BYTES = 512;

/** What we say that we take over UDP, and the most that we send: fits every path without fragments (the figure of DNS
 *  flag day 2020). */
export const EDNS_UDP_BYTES = 1232;

/** Bytes of a message over TCP at most: its length is sent in 16 bits. */
export const TCP_BYTES = 65_535;

/** `A`, or `TYPE65` for one without a name here (RFC 3597 section 5). */
export function typeText(type: number): string {
  return Object.entries(TYPE).find(([, code]) => code === type)?.[0] ?? `TYPE${type}`;
}

/** `NXDOMAIN`, or `RCODE11`. */
export function rcodeText(rcode: number): string {
  return Object.entries(RCODE).find(([, code]) => code === rcode)?.[0] ?? `RCODE${rcode}`;
}
