import { UML_PROGRAMS } from "../test/support/uml.ts";

/** A tier of tests: what it holds, what it needs and how long it may take. */
export interface Tier {
  readonly name: string;
  /** `uml`: mocha inside user-mode Linux. */
  readonly runner: "mocha" | "bats" | "uml";
  /** Glob patterns from the root of the tree. */
  readonly files: readonly string[];
  readonly needsRoot: boolean;
  /** Programs to find on PATH. */
  readonly programs: readonly string[];
  /** A tier that takes longer than this many seconds is ended and has failed. */
  readonly limitSeconds: number;
  /** A tier that may have no files yet. */
  readonly optional?: boolean;
}

/** In the order in which they run: what is quick and needs least comes first. */
export const TIERS: readonly Tier[] = [
  {
    name: "unit",
    runner: "mocha",
    files: ["test/tidy/*.test.ts", "test/unit/**/*.test.ts", "test/kernel/fake*.test.ts", "test/fake-mesos/*.test.ts"],
    needsRoot: false,
    programs: ["git"],
    limitSeconds: 1200,
  },
  {
    name: "sim",
    runner: "mocha",
    files: ["test/sim/*.test.ts"],
    needsRoot: false,
    programs: [],
    limitSeconds: 1200,
  },
  {
    name: "kernel",
    runner: "mocha",
    files: ["test/kernel/!(fake)*.test.ts"],
    needsRoot: true,
    programs: ["ip", "bridge", "nft", "conntrack"],
    limitSeconds: 1800,
  },
  {
    name: "ipvs",
    runner: "uml",
    files: ["test/ipvs/**/*.test.ts"],
    needsRoot: false,
    programs: [...UML_PROGRAMS, "ipvsadm", "iptables-legacy"],
    limitSeconds: 1800,
  },
  {
    name: "fuzz",
    runner: "mocha",
    files: ["test/fuzz/**/*.test.ts"],
    needsRoot: false,
    programs: [],
    limitSeconds: 1800,
  },
  {
    name: "peers",
    runner: "mocha",
    files: ["test/peers/**/*.test.ts"],
    needsRoot: true,
    programs: ["ip", "nft", "conntrack", "iptables", "podman", "containerd", "ctr", "runc", "busybox", "curl", "flock"],
    limitSeconds: 3600,
  },
  {
    name: "cluster",
    runner: "mocha",
    files: ["test/cluster/**/*.test.ts"],
    needsRoot: true,
    programs: ["ip", "bridge", "nft", "ping", "curl"],
    limitSeconds: 3600,
    optional: true,
  },
  {
    name: "e2e",
    runner: "bats",
    files: ["test/e2e/*.bats"],
    needsRoot: false,
    programs: ["bats", "jq"],
    limitSeconds: 1200,
  },
];
