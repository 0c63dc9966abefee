/** nftables of one namespace. The language is nft's own (nft(8)): one input of several lines is one transaction. */
export interface Nftables {
  /** Carries out all commands or none. Throws a NetError with nft's own text and, where it says so, the errno name
   *  (EEXIST for a `create` of something that is there, ENOENT for a `delete` of something that isn't, EBUSY in
   *  use). */
  run(commands: readonly string[]): void;
  /** Elements of a set or map; undefined when the table or the set is missing. */
  elements(family: string, table: string, set: string): NftElement[] | undefined;
  /** Names of the chains of a table; undefined when the table is missing. Costs the same however many elements its
   *  sets have. */
  chains(family: string, table: string): string[] | undefined;
  /** Text of a table as `nft list table`; undefined when it is missing. */
  table(family: string, table: string): string | undefined;
}

/** An element as nft's JSON output gives it. */
export interface NftElement {
  /** The parts of the key, one for each concatenated field, in nft's text form. */
  readonly key: readonly string[];
  /** The data of a map element, one for each field; `goto chain` and the like for verdicts; empty for a set. */
  readonly data: readonly string[];
  readonly comment: string | undefined;
}
