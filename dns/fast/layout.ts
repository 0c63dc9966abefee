/** Layout of the memory that the main thread writes and the workers read: control words, then an arena that holds the
 *  slots of a hash table and the entries that they lead to. Offsets are in 32-bit words. */

/** The control words. */
export const CONTROL = {
  /** Not 0: workers end. */
  stop: 0,
  /** Descriptor of the slots: `region << 5 | log2(number of slots)`, the region in units of {@link REGION_WORDS}. */
  slots: 1,
  /** Grows whenever something was taken out of the table. */
  epoch: 2,
  /** Queries that workers handed to the main thread and that it hasn't answered. */
  waiting: 3,
  /** Seconds of the main thread's monotonic clock, which tell the age of kept answers. */
  seconds: 4,
  /** Number of sockets of each worker, then their descriptors: one row for each worker. */
  sockets: 64,
  /** Epoch that each worker reads in, {@link IDLE} while it reads nothing. */
  workers: 1088,
  /** Queries answered by each worker, modulo 2^32. */
  answered: 1152,
} as const;

export const WORKERS_MOST = 64;
export const SOCKETS_MOST = 15;
/** Words of a worker's row of sockets. */
export const SOCKET_ROW = SOCKETS_MOST + 1;
export const IDLE = -1;
export const REGION_WORDS = 1024;
/** First word of the arena. */
export const ARENA = 2048;

/** A slot has two words: the hash of a name, and where its entry is, or one of these. */
export const EMPTY = 0;
export const REMOVED = 1;

/** Words of an entry before its name: bytes of the name with flags above, numbers of A and AAAA records, bytes of the
 *  negative answer's SOA record. Then, in bytes: name, A records, AAAA records, SOA record, each ready for the wire
 *  with pointers to the question. */
export const ENTRY_WORDS = 3;
/** Flag of an entry: the name has records of other types, which the main thread answers. */
export const OTHER_TYPES = 0x10000;

/** Flag of an entry that holds the answer of an upstream to one question. Its words: bytes of the key with the flag,
 *  the second in which it came, seconds that it lives with how often it was used above. Then, in bytes: the key (name,
 *  type, flags of the question), the fields of {@link ANSWER}, offsets of the TTLs in the body, body. */
export const ANSWER_ENTRY = 0x20000;
/** Bits of the seconds that an answer lives; the rest counts uses. */
export const LIFETIME_BITS = 17;
export const USES_MOST = 0x7fff;
/** Bytes of a question's key behind its name. */
export const KEY_TAIL_BYTES = 3;
/** Offsets of 16-bit fields behind the key of an answer: the header's flag word and numbers of records, bytes of the
 *  body, number of TTLs. */
export const ANSWER = { flags: 0, answers: 2, authority: 4, additional: 6, body: 8, ttls: 10, bytes: 12 } as const;

/** Bytes of an A and of an AAAA record whose owner is a pointer. */
export const A_BYTES = 16;
export const AAAA_BYTES = 28;

/** FNV-1a, the start and the factor of 32 bits. */
export const HASH_START = 0x811c9dc5 | 0;
export const HASH_FACTOR = 0x01000193;

/** Queries that may wait for the main thread; more are dropped, as a full socket would. */
export const WAITING_MOST = 4096;

/** Longest time until a worker sees that it should end, or that it has another socket, milliseconds. */
export const LOOK_MS = 100;
