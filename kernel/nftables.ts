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
  /** Creates and deletes elements, all or none, in their own form and thus without the cost of text. Throws a NetError
   *  with the errno name: EEXIST for an element that is there, ENOENT for one that isn't, or for the set. */
  changeElements(family: string, table: string, changes: readonly NftElementsChange[]): void;
  /** Elements of a set or map in their own form, each once; undefined when the table or the set is missing. */
  rawElements(family: string, table: string, set: string): NftRawElement[] | undefined;
  /** Watches a table of this namespace, be it there or not. */
  watch(family: string, table: string): NftWatch;
  /** A number that every transaction of the namespace makes greater by one, whoever's it is: as long as it stays, no
   *  table has changed, but for what packets add to sets. */
  generation(): number;
  /** What a table consists of; undefined when it is missing. Costs the same however many elements its sets have. */
  outline(family: string, table: string): NftOutline | undefined;
}

/** Tells of changes of a table from when it was opened. */
export interface NftWatch {
  /** The generations since the last call that have changed anything of the table, whoever made them; undefined when too
   *  much has happened to be told. Tells nothing of what packets add to sets. */
  changed(): readonly number[] | undefined;
  close(): void;
}

/** Elements of one set or map to create or to delete. */
export interface NftElementsChange {
  readonly do: "create" | "delete";
  readonly set: string;
  /** To delete, the key is enough. */
  readonly elements: readonly NftRawElement[];
}

/** An element as nf_tables holds it, in hexadecimal digits: each field of a concatenation fills whole registers of four
 *  bytes, addresses and ports in network order, plain numbers in the machine's. */
export interface NftRawElement {
  readonly key: string;
  /** Of a map. */
  readonly data?: string;
  /** At most 125 bytes. */
  readonly comment?: string;
  /** What the element's counter says, in a set that counts. */
  readonly packets?: number;
}

/** A table without the elements of its sets. */
export interface NftOutline {
  /** The table is switched off as a whole. */
  readonly dormant: boolean;
  readonly chains: readonly {
    readonly name: string;
    /** Its policy is to drop. */
    readonly dropping: boolean;
    /** The comments of its rules, in order. */
    readonly rules: readonly (string | undefined)[];
  }[];
  readonly sets: readonly string[];
}

/** An element as nft's JSON output gives it. */
export interface NftElement {
  /** The parts of the key, one for each concatenated field, in nft's text form. */
  readonly key: readonly string[];
  /** The data of a map element, one for each field; `goto chain` and the like for verdicts; empty for a set. */
  readonly data: readonly string[];
  readonly comment: string | undefined;
}
