/** What the look-up program (vip-lookups.ts) is told, as JSON in its one argument. */
export interface LookupOrder {
  /** DNS server. */
  readonly server: string;
  readonly name: string;
  readonly port: number;
}

/** What the look-up program prints when its input ends. */
export interface LookupReport {
  /** How often the name had no address. */
  readonly absent: number;
  /** How often it had one that greeted. */
  readonly served: number;
  /** Connections that failed although the name was there before and after; each with what went wrong. */
  readonly lies: readonly string[];
}
